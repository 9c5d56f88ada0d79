"""The command `serve`. What the server needs is imported when it runs."""

import errno
import os
import socket
from collections.abc import Generator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from app.exits import INTERRUPTED
from core.errors import ConfigurationError
from core.settings import PROJECT_ROOT, Settings, settings

_BACKLOG = 2048


HostOption = Annotated[str, typer.Option(help="Address to listen on. The server asks nobody for a password.")]
PortOption = Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")]
ConfigOption = Annotated[
    Path,
    typer.Option(
        help="The file that names the graphs.", show_default="langgraph.json of this project", metavar="FILE"
    ),
]
ReloadOption = Annotated[
    bool, typer.Option("--reload", help="Start anew whenever a file of this project changes.")
]
VerboseOption = Annotated[
    bool, typer.Option("--verbose", "-v", help="Log requests and runs, not only what goes wrong.")
]


def serve(  # noqa: PLR0913 - each is an option of the command line
    *,
    host: HostOption = "127.0.0.1",
    port: PortOption = 2024,
    n_jobs_per_worker: Annotated[int, typer.Option(min=1, help="Most runs side by side.")] = 10,
    config: ConfigOption = PROJECT_ROOT / "langgraph.json",
    reload: ReloadOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Run the agents as a server, for LangGraph Studio and the LangGraph SDK.

    For development: it keeps threads in the database, but it runs on one machine and knows no users.
    Ctrl-C ends it.
    """
    if find_spec("langgraph_api") is None or find_spec("uvicorn") is None:
        raise ConfigurationError(
            "The server is not installed. Install boring-agents with its extra `server`: "
            "pip install -e '.[server]', or run `make setup`."
        )
    from core.models import model_profile  # noqa: PLC0415 - commands import what they need when they run

    used = _wherever(settings())
    model_profile(used)
    with listening(host, port) as listener:
        from app.server import ServerOptions, run_agents  # noqa: PLC0415

        options = ServerOptions(
            settings=used,
            config=config.absolute(),
            host=host,
            port=listener.getsockname()[1],
            n_jobs_per_worker=n_jobs_per_worker,
            reload=reload,
            verbose=verbose,
        )
        try:
            run_agents(listener, options, keep_threads=port != 0)
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None


def _wherever(given: Settings) -> Settings:
    """Return the settings with whole paths: the server works in a folder of its own."""
    paths = {name: value.absolute() for name, value in given if isinstance(value, Path)}
    return given.model_copy(update=paths)


@contextmanager
def listening(host: str, port: int) -> Generator[socket.socket]:
    """Hold a port from now on, so that nobody takes it while the server starts.

    Raises:
        ConfigurationError: the port is taken or can't be had, or the host is not this machine.
    """
    listener: socket.socket | None = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        if os.name == "posix":  # elsewhere this would let two programs share the port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
        yield listener
    except OSError as error:
        if (advice := _advice(error, host, port)) is None:
            raise
        raise ConfigurationError(advice) from error
    finally:
        if listener is not None:
            listener.close()


def _advice(error: OSError, host: str, port: int) -> str | None:
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return f"--host is {host!r}, which is no address of this machine. Use 127.0.0.1, or 0.0.0.0 for all."
    if error.errno == errno.EADDRINUSE:
        return (
            f"Port {port} of {host} is taken by another program, perhaps by another `boring serve`. "
            f"Stop that one, or name another port: boring serve --port {port % 65535 + 1}"
        )
    if error.errno == errno.EACCES:
        return f"Port {port} of {host} may not be used by this user. Name one from 1024 on, such as 2024."
    return None
