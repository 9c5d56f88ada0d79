"""The command `boring`."""

import sys

import typer
from rich.console import Console

from app.asking import ask, chat, resume
from app.doctor import doctor
from app.exits import EXPLAINED, code_of
from app.listing import index, threads
from app.serving import serve
from core.errors import BoringError

app = typer.Typer(
    name="boring",
    help=f'AI agents that survive production.\n\nBegin with: boring ask "What is 17 * 23?"\n\n{EXPLAINED}',
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
for command in (ask, chat, resume, index, threads, doctor, serve):
    app.command()(command)


def main() -> None:
    """Run the command line; every expected error becomes one message and an exit code."""
    errors = Console(stderr=True, soft_wrap=True)
    try:
        app()
    except BoringError as error:
        errors.print(f"[red]boring:[/red] {error}", highlight=False, markup=True)
        sys.exit(code_of(error))
    except BaseExceptionGroup as group:
        error = _first(group)
        if error is None:
            raise
        errors.print(f"[red]boring:[/red] {error}", highlight=False)
        sys.exit(code_of(error))


def _first(group: BaseExceptionGroup[BaseException]) -> BoringError | None:
    """Return the first error of ours among those of concurrent tasks."""
    for error in group.exceptions:
        if isinstance(error, BoringError):
            return error
        if isinstance(error, BaseExceptionGroup) and (inner := _first(error)) is not None:
            return inner
    return None


if __name__ == "__main__":
    main()
