"""Gives the agent time to learn from its turns: after the answer is shown, and while the user types."""

import asyncio
import sys
from contextlib import suppress
from typing import Final

from rich.console import Console

LEARN_S: Final = 60.0
"""How long a command goes on after its answer; what is not learnt then, the next process learns."""


async def learn_before_end(console: Console) -> None:
    """Learn from the turn whose answer is shown. Ctrl-C leaves it to the next process."""
    from nodes.learner import current_learner  # noqa: PLC0415 - loaded with the session

    learner = await current_learner()
    if learner.is_idle:
        return
    with suppress(TimeoutError), console.status("learning from this turn; Ctrl-C leaves it for later"):
        async with asyncio.timeout(LEARN_S):
            await learner.idle()


async def learn_until_typed() -> None:
    """Learn until there is nothing left or the user has typed a line, which is not read here."""
    from nodes.learner import current_learner  # noqa: PLC0415 - loaded with the session

    learner, typed, loop = await current_learner(), asyncio.Event(), asyncio.get_running_loop()
    if learner.is_idle:
        return
    try:
        loop.add_reader(sys.stdin.fileno(), typed.set)
    except (OSError, ValueError, NotImplementedError):
        return  # a file, or nothing that can be waited for: it is read at once
    waits = [asyncio.create_task(learner.idle()), asyncio.create_task(typed.wait())]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        loop.remove_reader(sys.stdin.fileno())
        for wait in waits:
            wait.cancel()
