"""How a command runs its asynchronous work, and how Ctrl-C ends it."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import typer
from rich.console import Console

from app.exits import INTERRUPTED
from core.text import in_one_line

Outcome = TypeVar("Outcome")


def run(work: Coroutine[Any, Any, Outcome], *, go_on_with: str | None = None) -> Outcome:
    """Run `work` to its end; Ctrl-C cancels it, closes what it opened and ends the command with code 130.

    Args:
        work: what to run.
        go_on_with: the command that goes on with it, shown after Ctrl-C.
    """
    try:
        return asyncio.run(work)
    except KeyboardInterrupt:
        raise typer.Exit(interrupted(go_on_with)) from None


def interrupted(go_on_with: str | None) -> int:
    """Say that Ctrl-C was taken and how to go on; return the exit code."""
    hint = f" Go on with: {in_one_line(go_on_with)}" if go_on_with else ""
    Console(stderr=True, soft_wrap=True).print(
        f"\nStopped; what was done is kept.{hint}", highlight=False, markup=False
    )
    return INTERRUPTED
