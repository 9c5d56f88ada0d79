"""Saves of many runs together: what comes while others are under way goes in one statement and one commit.

A save that comes alone is sent at once, and waits for nobody.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Final

import psycopg

from core.database import Pool
from core.worker import Worker
from memory.saver_entries import Entry, parameters, statement_for

MOST_AT_ONCE: Final = 4
"""Statements that are under way at the same time; more would only make them smaller."""
MOST_ENTRIES: Final = 64
MOST_BYTES: Final = 1_000_000
"""A statement takes no further entry once it has as much."""

_Waiting = tuple[Entry, asyncio.Future[str]]


class Batches:
    """The saves of one saver. One that fails, or has to wait for its thread, does so alone."""

    def __init__(self, pool: Pool, worker: Worker) -> None:
        self._pool = pool
        self._worker = worker
        self._waiting: deque[_Waiting] = deque()
        self._starting = False
        self._sending: set[asyncio.Task[None]] = set()
        self._alone: set[asyncio.Task[None]] = set()

    async def save(self, entry: Entry) -> str:
        """Save an entry if the fence lets it pass; return the verdict.

        Raises:
            psycopg.Error: the database refuses it, or is away.
        """
        done: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting.append((entry, done))
        self._wake()
        return await done

    def _wake(self) -> None:
        """Send what waits in the next round of the event loop: what else comes in this one goes with it."""
        if self._waiting and not self._starting and len(self._sending) < MOST_AT_ONCE:
            self._starting = True
            task = asyncio.create_task(self._send(), name="save checkpoints")
            self._sending.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        if not task.cancelled():  # or the event loop is about to close
            self._wake()

    async def _send(self) -> None:
        self._starting = False
        batch = self._next()
        self._wake()
        if batch:
            await self._save(batch)

    def _next(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        size = 0
        while self._waiting and len(batch) < MOST_ENTRIES and size < MOST_BYTES:
            entry, done = self._waiting.popleft()
            if not done.done():  # its caller may have been cancelled
                batch.append((entry, done))
                size += len(entry.data)
        return batch

    async def _save(self, batch: Sequence[_Waiting]) -> None:
        """Save a batch and tell each of its callers how it went."""
        try:
            verdicts = await self._verdicts([entry for entry, _ in batch])
        except BaseException as error:
            if len(batch) > 1 and _may_be_of_one(error):
                self._save_alone(batch)
                return
            for _, done in batch:
                if not done.done():
                    done.set_exception(error)
            if not isinstance(error, Exception):
                raise
            return
        self._save_alone([one for one, verdict in zip(batch, verdicts, strict=True) if verdict == "locked"])
        for (_, done), verdict in zip(batch, verdicts, strict=True):
            if verdict != "locked" and not done.done():
                done.set_result(verdict)

    def _save_alone(self, batch: Sequence[_Waiting]) -> None:
        """Save each by itself; nobody else waits for that."""
        for one in batch:
            task = asyncio.create_task(self._save([one]), name="save a checkpoint alone")
            self._alone.add(task)
            task.add_done_callback(self._alone.discard)

    async def _verdicts(self, entries: Sequence[Entry]) -> list[str]:
        async with self._pool.connection() as connection:
            epoch = self._worker.epoch
            values = parameters(entries, self._worker.id, epoch)
            found = await connection.execute(statement_for(entries), values)
            verdicts = [row["verdict"] for row in await found.fetchall()]
        for entry, verdict in zip(entries, verdicts, strict=True):
            if verdict == "own" and entry.standing is not None:
                entry.standing.note_held(epoch)
        return verdicts


def _may_be_of_one(error: BaseException) -> bool:
    """Tell whether others of the batch may be saved without the one that is at fault.

    Nothing of the batch is saved then. Where the database is away, nobody's would be.
    """
    code = error.sqlstate if isinstance(error, psycopg.Error) else None
    return code is not None and not code.startswith("57P")
