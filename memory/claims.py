"""Who works on a thread: one invocation of a graph at a time, in one process at a time.

A claim is a row that names the worker, and in the worker's own memory the invocation. It holds while a step
of the invocation runs, and `IDLE_S` longer. Other processes may take it over once its worker is gone, which
Postgres knows at once (see `core.worker`).
"""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

import psycopg
from psycopg_pool import PoolTimeout

from core.database import Database
from core.errors import ThreadBusyError
from core.process import current_process
from core.worker import LOCK_OF, Worker, current_worker
from memory.plans import PlanRecord
from memory.saver_fence import note_held, refusal, was_cut_off
from memory.visits import Visits

IDLE_S: Final = 2.0
"""How long a claim outlives the last step that ran: an invocation between two steps is not over."""
PATIENCE_S: Final = 3.0
"""How long a claim of another process is waited for: a killed process is noticed a moment late."""
RETRY_S: Final = 0.05
_TAKE = """
insert into boring.thread_lease (thread_id, worker) values (%(thread)s, %(worker)s)
on conflict (thread_id) do update set worker = excluded.worker
where thread_lease.worker = excluded.worker returning worker
"""
_IS_STILL_OURS = "select from boring.thread_lease where thread_id = %(thread)s and worker = %(worker)s"
_HOLDER = "select worker from boring.thread_lease where thread_id = %s"
_TAKE_OVER = """
update boring.thread_lease set worker = %(worker)s, taken_at = now()
where thread_id = %(thread)s and worker = %(holder)s returning worker
"""
_IS_GONE = f"select pg_try_advisory_xact_lock_shared({LOCK_OF}) as gone"
_RELEASE = "delete from boring.thread_lease where thread_id = any(%s) and worker = %s"
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Standing:
    """How one agent of an invocation stands.

    Attributes:
        fresh: nobody else can have worked on its turn, so that nothing of it has to be looked up.
        plan: the plan of its running step, until it is recorded.
    """

    fresh: bool = False
    plan: PlanRecord | None = None


@dataclass(slots=True, eq=False)
class Claim:
    """The right of one invocation to run a thread.

    Attributes:
        invocation: an object that all steps of the invocation share; None lets in any of this process.
        epoch: the worker's connection under which it was taken.
        standing: how each agent of the invocation stands, by its namespace.
    """

    thread_id: str
    invocation: object | None
    epoch: int
    standing: dict[str, Standing] = field(default_factory=dict[str, "Standing"])
    active: int = 0
    ending: bool = False
    idle_since: float = 0.0
    taking: asyncio.Task[None] | None = None


class Claims:
    """The claims of one worker."""

    def __init__(self, database: Database, worker: Worker) -> None:
        self._database = database
        self._worker = worker
        self._claims: dict[str, Claim] = {}
        self._releasing: dict[str, asyncio.Task[None]] = {}
        self._owed: set[str] = set()
        self.visits = Visits()
        self._sweeper: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def working(self, thread_id: str, invocation: object | None) -> AsyncGenerator[Claim]:
        """Hold the thread for one step. A run without a checkpointer has no thread and needs no claim.

        Raises:
            ThreadBusyError: another invocation is working on it, or has taken it over.
        """
        if not thread_id:
            yield Claim("", invocation, 0)
            return
        claim = await self._admitted(thread_id, invocation)
        claim.active += 1
        idle_since = 0.0  # a cancelled step leaves nothing to wait for
        try:
            if claim.taking is None:
                claim.taking = asyncio.create_task(self._take(claim), name=f"claim {thread_id}")
            await asyncio.shield(claim.taking)
            note_held(thread_id, claim.epoch)
            yield claim
            idle_since = _now()
        except Exception:
            claim.ending = True
            raise
        finally:
            claim.active -= 1
            claim.idle_since = idle_since
            if claim.ending and not claim.active:
                await self.release(claim)

    @asynccontextmanager
    async def held(self, thread_id: str, *, alone: bool = False) -> AsyncGenerator[None]:
        """Hold the thread for this process, whatever it runs on it; `alone` keeps that off it too.

        Raises:
            ThreadBusyError: another process is working on it, or with `alone` anybody is.
        """
        async with self.working(thread_id, object() if alone else None) as claim:
            yield
            claim.ending = True

    def standing(self, thread_id: str, namespace: str) -> Standing:
        """Return how an agent stands whose step is running; without a thread there is nothing to look up."""
        claim = self._claims.get(thread_id)
        if claim is None:
            return Standing(fresh=not thread_id)
        return claim.standing.setdefault(namespace, Standing())

    async def release(self, claim: Claim) -> None:
        """Let others have the thread, unless another step of the same invocation is running."""
        if claim.active > 1 or self._claims.get(claim.thread_id) is not claim:
            return
        del self._claims[claim.thread_id]
        task = asyncio.create_task(self._give_back(claim.thread_id), name=f"release {claim.thread_id}")
        self._releasing[claim.thread_id] = task
        await asyncio.shield(task)

    async def _give_back(self, thread_id: str) -> None:
        """Delete the lease; one that could not be deleted is tried again by the sweeper."""
        epoch = self._worker.epoch
        try:
            async with self._database.pool.connection() as connection:
                gone = await connection.execute(_RELEASE, ([thread_id], self._worker.id))
                if gone.rowcount:
                    note_held(thread_id, epoch)  # its last checkpoint is still to be saved
        except (psycopg.OperationalError, PoolTimeout) as error:
            _log.warning("The thread %s could not be released yet: %s", thread_id, error)
            self._owed.add(thread_id)
            self._begin_sweeping()
        finally:
            del self._releasing[thread_id]

    async def close(self) -> None:
        """Release everything."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._sweeper
        for claim in list(self._claims.values()):
            claim.active = 0
            await self.release(claim)
        for thread_id in list(self._owed):
            await self._try_again(thread_id)
        self._owed.clear()
        if self._sweeper is not None:
            self._sweeper.cancel()  # a failed release has begun another one

    async def _admitted(self, thread_id: str, invocation: object | None) -> Claim:
        """Return the invocation's claim, a new one where it has none.

        Raises:
            ThreadBusyError: another invocation is at work, or has worked while this one waited for its end:
                then what this one knows of the thread is out of date.
        """
        await self._worker.present()
        found: Claim | None = None
        idle_since = 0.0
        while (claim := self._claims.get(thread_id)) is not None:
            if claim.epoch != self._worker.epoch and not claim.active:
                break  # its row may be another's by now
            if claim.invocation is None or claim.invocation is invocation:
                return claim
            if claim.active or (found is not None and (claim, claim.idle_since) != (found, idle_since)):
                raise _busy(thread_id)
            found, idle_since = claim, claim.idle_since
            left = claim.idle_since + IDLE_S - _now()
            if left <= 0:
                break
            await asyncio.sleep(min(left, RETRY_S))
        if found is not None and found.ending:
            raise _busy(thread_id)
        claim = Claim(thread_id, invocation, self._worker.epoch)
        self._claims[thread_id] = claim
        self._begin_sweeping()
        return claim

    async def _take(self, claim: Claim) -> None:
        """Make the thread this worker's in the database, after it has given it back if it is about to."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while (releasing := self._releasing.get(claim.thread_id)) is not None:
                    await asyncio.wait([releasing])
                self._owed.discard(claim.thread_id)
                while not await self._taken(claim):  # noqa: ASYNC110 - its event is elsewhere
                    await asyncio.sleep(RETRY_S)
        except BaseException as error:
            self._claims.pop(claim.thread_id, None)
            if isinstance(error, TimeoutError):
                raise _busy(claim.thread_id) from error
            raise

    async def _taken(self, claim: Claim) -> bool:
        """Take the thread where it is free or its worker is gone.

        Raises:
            ThreadBusyError: it was given back just now, or may have been another's while this worker was cut
                off: what this invocation knows of it is out of date.
        """
        thread_id = claim.thread_id
        ours = {"thread": thread_id, "worker": self._worker.id}
        async with self._database.pool.connection() as connection:
            if was_cut_off(thread_id, claim.epoch):
                if await (await connection.execute(_IS_STILL_OURS, ours)).fetchone() is not None:
                    return True
                raise refusal(thread_id, "lost")
            if await (await connection.execute(_TAKE, ours)).fetchone():
                return True
            async with connection.transaction():
                holder = await (await connection.execute(_HOLDER, (thread_id,))).fetchone()
                if holder is None:
                    raise _busy(thread_id)
                gone = await connection.execute(_IS_GONE, (holder["worker"],))
                row = await gone.fetchone()
                if row is None or not row["gone"]:
                    return False
                took = await connection.execute(_TAKE_OVER, {**ours, "holder": holder["worker"]})
                return await took.fetchone() is not None

    def _begin_sweeping(self) -> None:
        if self._sweeper is None or self._sweeper.done():
            self._sweeper = asyncio.create_task(self._sweep(), name="release idle threads")

    async def _try_again(self, thread_id: str) -> None:
        self._owed.discard(thread_id)
        if thread_id not in self._claims and thread_id not in self._releasing:
            self._releasing[thread_id] = asyncio.create_task(self._give_back(thread_id))
            await asyncio.shield(self._releasing[thread_id])

    async def _sweep(self) -> None:
        """Release the claims of invocations that ended without a word, and what could not be released."""
        while self._claims or self._owed:
            await asyncio.sleep(IDLE_S / 2)
            for thread_id in list(self._owed):
                await self._try_again(thread_id)
            now = _now()
            for claim in list(self._claims.values()):
                if claim.invocation is not None and not claim.active and now - claim.idle_since > IDLE_S:
                    await self.release(claim)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _busy(thread_id: str) -> ThreadBusyError:
    return ThreadBusyError(
        f"Another process or request is working on the thread {thread_id!r}. Wait until it has ended, or use "
        "another thread."
    )


@asynccontextmanager
async def _opened_claims(database: Database, worker: Worker) -> AsyncGenerator[Claims]:
    claims = Claims(database, worker)
    try:
        yield claims
    finally:
        await claims.close()


async def current_claims() -> Claims:
    """Return the claims of the running event loop's worker.

    Raises:
        DatabaseError: the database is away.
    """
    worker = await current_worker()
    process = await current_process()
    database = await process.database()
    return await process.once("claims", lambda: _opened_claims(database, worker))
