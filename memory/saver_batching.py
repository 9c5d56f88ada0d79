"""Saves of many runs together: what comes while others are under way goes in one statement and one commit.

A save that comes alone is sent at once, and waits for nobody. Those of one thread arrive in the order in
which they were asked for.
"""

import asyncio
from collections import Counter, deque
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
        self._under_way: Counter[str] = Counter()

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
        if self._starting or len(self._sending) >= MOST_AT_ONCE:
            return
        if any(entry.thread_id not in self._under_way for entry, _ in self._waiting):
            self._starting = True
            task = asyncio.create_task(self._send(), name="save checkpoints")
            self._sending.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        self._alone.discard(task)
        if not task.cancelled():  # or the event loop is about to close
            self._wake()

    async def _send(self) -> None:
        self._starting = False
        batch = self._next()
        self._wake()
        if batch:
            await self._save(batch)

    def _next(self) -> list[_Waiting]:
        """Take what may go now: nothing of a thread of which something is under way, and each row once."""
        batch: list[_Waiting] = []
        later: list[_Waiting] = []
        size, blocked, rows = 0, set(self._under_way), set[tuple[str, ...]]()
        while self._waiting and len(batch) < MOST_ENTRIES and size < MOST_BYTES:
            entry, done = self._waiting.popleft()
            if done.done():  # its caller was cancelled
                continue
            if entry.thread_id in blocked or entry.rows in rows:
                blocked.add(entry.thread_id)
                later.append((entry, done))
                continue
            batch.append((entry, done))
            rows.add(entry.rows)
            size += len(entry.data)
        self._waiting.extendleft(reversed(later))
        self._under_way.update(entry.thread_id for entry, _ in batch)
        return batch

    async def _save(self, batch: Sequence[_Waiting]) -> None:
        """Save a batch and tell each of its callers how it went."""
        try:
            verdicts = await self._verdicts([entry for entry, _ in batch])
        except BaseException as error:
            if len(batch) > 1 and _may_be_of_one(error):
                self._save_alone(batch)
                return
            for one in batch:
                self._tell(one, error)
            if not isinstance(error, Exception):
                raise
            return
        self._save_alone([one for one, verdict in zip(batch, verdicts, strict=True) if verdict == "locked"])
        for one, verdict in zip(batch, verdicts, strict=True):
            if verdict != "locked":
                self._tell(one, verdict)

    def _tell(self, one: _Waiting, how: str | BaseException) -> None:
        entry, done = one
        self._under_way[entry.thread_id] -= 1
        if not self._under_way[entry.thread_id]:
            del self._under_way[entry.thread_id]
        if done.done():
            return
        if isinstance(how, str):
            done.set_result(how)
        else:
            done.set_exception(how)

    def _save_alone(self, batch: Sequence[_Waiting]) -> None:
        """Save each by itself, those of one thread one after the other; nobody else waits for that."""
        by_thread: dict[str, list[_Waiting]] = {}
        for one in batch:
            by_thread.setdefault(one[0].thread_id, []).append(one)
        for of_thread in by_thread.values():
            task = asyncio.create_task(self._one_by_one(of_thread), name="save checkpoints alone")
            self._alone.add(task)
            task.add_done_callback(self._ended)

    async def _one_by_one(self, batch: Sequence[_Waiting]) -> None:
        for one in batch:
            await self._save([one])

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
