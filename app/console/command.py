"""The command `console`. What the pages need is imported when it runs."""

from typing import Annotated

import typer

from app.exits import INTERRUPTED
from app.running import run
from app.serving import listening

_HOST = "127.0.0.1"


def console(
    *,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 0,
) -> None:
    """Show runs, traces, figures and what waits for approval as web pages, on this machine alone.

    It asks nobody for a password: whoever can reach the port can decide. Ctrl-C ends it.
    """
    from app.console.serving import serve_console  # noqa: PLC0415 - commands import what they need when they run

    with listening(_HOST, port) as listener:
        if run(serve_console(listener)):
            raise typer.Exit(INTERRUPTED)
