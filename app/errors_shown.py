"""How an error is told to whoever runs a command."""

from rich.console import Console
from rich.text import Text

from core.errors import BoringError
from core.text import in_hanging_lines


def show_error(error: BoringError) -> None:
    """Write the message of an error to the error output, in one piece that steers no terminal."""
    told = Text.assemble(("boring: ", "red"), in_hanging_lines(str(error)))
    Console(stderr=True, soft_wrap=True).print(told)
