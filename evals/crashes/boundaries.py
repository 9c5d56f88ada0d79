"""Counts the boundaries that a worker crosses, and ends it at one of them."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, Final

import psycopg
from psycopg.transaction import AsyncTransaction

from memory.saver import Saver
from nodes.tool_planner import ToolPlanner

CRASHED: Final = 9
"""Exit code of a worker that was ended."""


class Boundaries:
    """The boundaries of one worker.

    Attributes:
        crossed: how many so far, since `armed`.
        crash_at: the one at which the worker ends, from 1; None lets it live.
    """

    def __init__(self, crash_at: int | None) -> None:
        self.crossed = 0
        self.crash_at = crash_at
        self.armed = False

    def cross(self) -> None:
        """Cross one boundary, and end the process if it is the one."""
        if not self.armed:
            return
        self.crossed += 1
        if self.crossed == self.crash_at:
            os._exit(CRASHED)

    def around(self, work: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        """Return `work` with a boundary before and after it."""

        @wraps(work)
        async def bounded(*args: Any, **options: Any) -> Any:
            self.cross()
            result = await work(*args, **options)
            self.cross()
            return result

        return bounded

    def watch(self, *, checkpoint_lag_s: float = 0.0) -> None:
        """Put boundaries around every SQL statement, transaction and model call of this process.

        Args:
            checkpoint_lag_s: how long each checkpoint waits before it is written. Under durability `async`
                the run goes on meanwhile, so that a crash throws it back by several steps.
        """
        if checkpoint_lag_s:
            setattr(Saver, "aput", _late(Saver.aput, checkpoint_lag_s))  # noqa: B010 - as below
        for owner, names in (
            (psycopg.AsyncCursor, ("execute", "executemany")),
            (AsyncTransaction, ("__aenter__", "__aexit__")),
            (ToolPlanner, ("plan",)),
        ):
            for name in names:
                setattr(owner, name, self.around(getattr(owner, name)))


def _late(work: Callable[..., Awaitable[Any]], lag_s: float) -> Callable[..., Awaitable[Any]]:
    @wraps(work)
    async def late(*args: Any, **options: Any) -> Any:
        await asyncio.sleep(lag_s)
        return await work(*args, **options)

    return late
