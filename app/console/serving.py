"""Serves the console alone until a signal ends it."""

from __future__ import annotations

import signal
import socket
from collections.abc import Generator
from contextlib import contextmanager

import typer
import uvicorn

from app.console.application import PLACE, pages, standing_alone
from app.console.guarding import LOOPBACK
from core.process import opened_process

_GRACE_S = 1


class _Server(uvicorn.Server):
    """A server that a signal ends in order: what stands around it is closed afterwards, by itself."""

    interrupted = False

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Take signals until the process ends."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self.handle_exit)
        yield

    def handle_exit(self, sig: int, frame: object) -> None:
        """Note that the server is to end."""
        del frame
        self.interrupted |= sig == signal.SIGINT
        self.should_exit = True


async def serve_console(listener: socket.socket) -> bool:
    """Serve until a signal ends it; return whether that was Ctrl-C.

    Raises:
        DatabaseError: the database can't be used.
    """
    made = pages(LOOPBACK)
    config = uvicorn.Config(
        standing_alone(made),
        log_level="warning",
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=_GRACE_S,
    )
    host, port = listener.getsockname()[:2]
    async with opened_process() as process:
        await process.database()
        typer.echo(f"Console:   http://{host}:{port}{PLACE}/runs")
        typer.echo("Ctrl-C ends it.")
        server = _Server(config)
        try:
            await server.serve([listener])
        finally:
            await made.state.resuming.stop()
    return server.interrupted
