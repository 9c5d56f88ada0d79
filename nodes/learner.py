"""The background task that learns from the turns of this process, after their answers have gone out."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from contextvars import Context
from typing import Final

import psycopg

from core.client_errors import named_error
from core.errors import BoringError
from core.process import current_process
from memory.extractions import Wanted, due_in_s
from nodes.learning import Mind, learn_next

FINISH_S: Final = 2.0
"""How long the end of the process waits for what is being learnt; the next process learns the rest."""
_log = logging.getLogger(__name__)


class Learner:
    """Learns from the turns of this process's agents, one after the other."""

    def __init__(self) -> None:
        self._minds: dict[str, Mind] = {}
        self._woken = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._task: asyncio.Task[None] | None = None

    def wake(self, mind: Mind) -> None:
        """Learn what is due of an agent's turns, in the background.

        The task has a context of its own: nothing of the run that woke it, such as its callbacks and stream,
        reaches it.
        """
        self._minds[mind.graph] = mind
        self._woken.set()
        self._idle.clear()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work(), name="learn from turns", context=Context())

    @property
    def is_idle(self) -> bool:
        """Whether nothing is due."""
        return self._idle.is_set()

    async def idle(self) -> None:
        """Wait until nothing is due."""
        await self._idle.wait()

    async def close(self) -> None:
        """Finish within `FINISH_S`, or leave the rest to the next process."""
        if self._task is None:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(FINISH_S):
                await self.idle()
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def _work(self) -> None:
        while True:
            self._woken.clear()
            try:
                wait_s = await self._learn_all()
            except (BoringError, psycopg.Error, OSError) as error:
                _log.warning("Learning waits for the next turn: %s", named_error(error))
                wait_s = None
            if not self._woken.is_set():
                self._idle.set()
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._woken.wait()

    async def _learn_all(self) -> float | None:
        """Learn what is due; return in how many seconds more will be."""
        database = await (await current_process()).database()
        soonest: float | None = None
        for mind in list(self._minds.values()):
            while await learn_next(mind, Wanted(mind.graph)) is not None:
                pass
            due = await due_in_s(database, mind.graph)
            if due is not None:
                soonest = due if soonest is None else min(soonest, due)
        return None if soonest is None else max(soonest, 0.1)


@asynccontextmanager
async def _opened_learner() -> AsyncGenerator[Learner]:
    learner = Learner()
    try:
        yield learner
    finally:
        await learner.close()


async def current_learner() -> Learner:
    """Return the learner of the running event loop.

    Raises:
        DatabaseError: the database is away.
    """
    process = await current_process()
    await process.database()  # opened before, so that it is closed after
    return await process.once("learner", _opened_learner)
