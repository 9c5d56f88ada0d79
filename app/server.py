"""The development server of LangGraph, with the agents of this project in it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn
from langgraph_api.cli import patch_environment
from rich.console import Console
from uvicorn.supervisors import ChangeReload

from app.downloads import download_bars
from app.errors_shown import show_error
from app.metrics import shown_metrics
from app.server_settings import read_server_file, server_environment
from core.errors import BoringError
from core.models import configured_model
from core.process import opened_process
from core.protocols import Model
from core.settings import PROJECT_ROOT, Settings
from memory.retention import configured_retention, swept_regularly
from observability.signals import find_signals
from observability.span_retention import TraceRetention, configured_trace_retention, drop_old_traces

_GRACE_S = 1
"""Seconds that open connections, such as streams, get to end when the server stops."""
_FORMATTER = "app.server_log.PrivateFormatter"


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How to run the server.

    Attributes:
        config: the `langgraph.json` that names the graphs.
        port: where it listens; never 0.
        n_jobs_per_worker: most runs side by side.
        reload: start anew whenever a file of the project changes.
        verbose: log requests and runs, not only what goes wrong.
    """

    settings: Settings
    config: Path
    host: str
    port: int
    n_jobs_per_worker: int
    reload: bool
    verbose: bool

    @property
    def url(self) -> str:
        """The address for clients on this machine."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 - told, not bound
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"


class AgentServer(uvicorn.Server):
    """A server that opens the database first and closes it last, in the event loop that runs the agents."""

    def __init__(self, config: uvicorn.Config, options: ServerOptions, folder: Path) -> None:
        super().__init__(config)
        self._options = options
        self._folder = folder
        self._owned: AsyncExitStack | None = None
        self._warming: asyncio.Task[Model] | None = None

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Run until a signal ends it.

        In its own folder, because the server keeps its list of threads in the working directory.
        """
        signal.signal(signal.SIGTERM, _end)
        os.chdir(self._folder)
        if sys.path[0] != str(PROJECT_ROOT):
            sys.path.insert(0, str(PROJECT_ROOT))
        try:
            super().run(sockets)
        except BoringError as error:
            if not self._options.reload:
                raise
            show_error(error)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open the database, then the server, and begin to open the model.

        Raises:
            DatabaseError: the database can't be used.
        """
        self._owned = AsyncExitStack()
        progress = self._owned.enter_context(download_bars(Console(stderr=True)))
        process = await self._owned.enter_async_context(
            opened_process(self._options.settings, progress=progress)
        )
        try:
            database = await process.database()
            retention = configured_retention(self._options.settings)
            kept = configured_trace_retention(self._options.settings)
            also: list[Callable[[], Awaitable[object]]] = [partial(find_signals, database)]
            if kept != TraceRetention():
                also.append(partial(drop_old_traces, database, kept))
            await self._owned.enter_async_context(swept_regularly(retention, also=also))
            await self._show_metrics(self._owned)
            await super().startup(sockets)
        except BaseException:
            await self._owned.aclose()
            raise
        # The first question would otherwise wait for it; a failure is told to whoever asks.
        self._warming = asyncio.create_task(configured_model()(), name="open model")
        self._warming.add_done_callback(lambda task: task.cancelled() or task.exception())
        if not self.should_exit:
            _announce(self._options.url)

    async def _show_metrics(self, owned: AsyncExitStack) -> None:
        settings = self._options.settings
        if settings.metrics_port is not None:
            await owned.enter_async_context(shown_metrics(settings.metrics_host, settings.metrics_port))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the server, then the database."""
        try:
            await super().shutdown(sockets)
        finally:
            if self._warming is not None:
                self._warming.cancel()
            if self._owned is not None:
                await self._owned.aclose()


def run_agents(listener: socket.socket, options: ServerOptions, *, keep_threads: bool) -> None:
    """Run the server until a signal ends it.

    Args:
        listener: where it listens.
        options: how to run it.
        keep_threads: keep the list of threads for the next server on this port.

    Raises:
        ConfigurationError: the database or the file that names the graphs can't be used.
    """
    environment = server_environment(
        read_server_file(options.config),
        options.settings,
        url=options.url,
        n_jobs_per_worker=options.n_jobs_per_worker,
        log_level="INFO" if options.verbose else "WARNING",
    )
    with tempfile.TemporaryDirectory(prefix="boring-serve-") as passing, patch_environment(**environment):
        folder = Path(passing)
        if keep_threads:
            folder = options.settings.data_dir / "server" / str(options.port)
            folder.mkdir(parents=True, exist_ok=True)
        config = _config(options)
        server = AgentServer(config, options, folder)
        if options.reload:
            ChangeReload(config, target=server.run, sockets=[listener]).run()
        else:
            server.run([listener])


def _config(options: ServerOptions) -> uvicorn.Config:
    level = "INFO" if options.verbose else "WARNING"
    packages = [str(file.parent) for file in PROJECT_ROOT.glob("*/__init__.py")]
    logging: dict[str, Any] = {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"simple": {"class": _FORMATTER}},
        "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "simple"}},
        "loggers": {name: {"level": level} for name in ("uvicorn", "uvicorn.error", "langgraph_api.server")},
        "root": {"handlers": ["console"]},
    }
    return uvicorn.Config(
        "langgraph_api.server:app",
        host=options.host,
        port=options.port,
        reload=options.reload,
        reload_dirs=packages if options.reload else None,
        access_log=False,
        log_config=logging,
        timeout_graceful_shutdown=_GRACE_S,
    )


def _announce(url: str) -> None:
    screen = Console(soft_wrap=True, highlight=False)
    screen.print(f"Server:    {url}")
    screen.print(f"API docs:  {url}/docs")
    screen.print(f"Studio:    https://smith.langchain.com/studio/?baseUrl={url}")
    screen.print("[dim]Ctrl-C ends it.[/dim]")


def _end(_number: int, _frame: FrameType | None) -> None:
    """Leave by way of every `finally`, as Ctrl-C does."""
    sys.exit(0)
