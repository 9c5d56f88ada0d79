"""Where commands print their tables."""

from typing import Final

from rich.console import Console

_UNTOLD_WIDTH: Final = 80
"""What Rich takes for the width of a pipe where nobody names another one by COLUMNS."""
_WHOLE_WIDTH: Final = 500


def table_console() -> Console:
    """Return a console as wide as its terminal; in a pipe nothing is cut."""
    console = Console()
    if console.is_terminal or console.width != _UNTOLD_WIDTH:
        return console
    return Console(width=_WHOLE_WIDTH)
