"""Retention: threads that nobody has used for long go, and of those in use the oldest checkpoints."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final, LiteralString

import psycopg
from psycopg import AsyncCursor, Rollback
from psycopg.rows import DictRow

from core.errors import BoringError, ConfigurationError, ThreadBusyError
from core.settings import Settings
from memory.checkpoints import postgres_checkpointer
from memory.claims import current_claims
from memory.plans import PLANS_OF_THREADS
from memory.saver import Saver
from memory.saver_compacting import store_whole, whole_conversations
from memory.saver_pruning import delete_threads, keep_latest

SWEEP_EVERY_S: Final = 3600.0
_log = logging.getLogger(__name__)
_THREADS: LiteralString = """
with newest as (
    select distinct on (thread_id) thread_id, (checkpoint ->> 'ts')::timestamptz as used_at
    from checkpoints order by thread_id, checkpoint_id desc
)
select thread_id, coalesce(idle, false) as idle, last.ours or exists (
        select from boring.thread_copy as copy where copy.thread_id = newest.thread_id
    ) as ours, coalesce(last.unfinished, exists (
        select from checkpoint_writes as write
        where write.thread_id = newest.thread_id and write.channel = '__interrupt__'
    )) as unfinished
from newest left join lateral (
    select true as ours, finished_at is null as unfinished from boring.run
    where run.thread_id = newest.thread_id order by started_at desc limit 1
) as last on true, lateral (select used_at < now() - %(idle)s::interval as idle) as age
where (%(thread)s::text is null or thread_id = %(thread)s) and (idle or exists (
    select from checkpoints as one where one.thread_id = newest.thread_id
    group by checkpoint_ns having count(*) > %(keep)s::int
))
order by used_at
"""
_SIZE: LiteralString = """
select (select count(*) from checkpoints where thread_id = %(thread)s) as checkpoints,
    sum(size)::bigint as bytes
from (
    select pg_column_size(one.*) as size from checkpoints as one where thread_id = %(thread)s
    union all
    select pg_column_size(one.*) from checkpoint_blobs as one where thread_id = %(thread)s
    union all
    select pg_column_size(one.*) from checkpoint_writes as one where thread_id = %(thread)s
) as row_sizes
"""
# What a run that goes on would need, and nobody else does.
_RECOVERY: Final[tuple[LiteralString, ...]] = (
    f"delete from boring.plan where {PLANS_OF_THREADS}",  # noqa: S608 - a constant
    "delete from boring.question where thread_id = %(thread)s",
    "delete from boring.effect where thread_id = %(thread)s",
)


@dataclass(frozen=True, slots=True)
class Retention:
    """What is kept.

    Attributes:
        idle: threads that nobody has used for that long are deleted; None keeps them.
        checkpoints: how many of the newest checkpoints of each namespace are kept; None keeps all.
    """

    idle: timedelta | None = None
    checkpoints: int | None = None

    def __post_init__(self) -> None:
        """Refuse what would keep nothing.

        Raises:
            ConfigurationError: `idle` is not over 0, or `checkpoints` less than 1.
        """
        if self.idle is not None and self.idle <= timedelta():
            raise ConfigurationError(f"threads idle for {self.idle} can't go: expected a time over 0")
        if self.checkpoints is not None and self.checkpoints < 1:
            raise ConfigurationError(f"{self.checkpoints} checkpoints can't be kept: expected 1 or more")


def configured_retention(settings: Settings) -> Retention:
    """Return what the settings keep."""
    days = settings.retention_idle_days
    return Retention(None if days is None else timedelta(days=days), settings.retention_checkpoints)


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep did, or would do.

    Attributes:
        deleted: idle threads that went.
        pruned: threads that lost older checkpoints.
        waiting: idle threads that stay, since their last run is not over: killed, or waiting for a person.
        busy: threads that stay, since they were being used.
        checkpoints: how many checkpoints went, those of deleted threads among them.
        freed_bytes: what rows took that went; the database makes room for new rows of it.
    """

    deleted: int = 0
    pruned: int = 0
    waiting: int = 0
    busy: int = 0
    checkpoints: int = 0
    freed_bytes: int = 0


async def sweep(retention: Retention, *, dry_run: bool = False) -> Swept:
    """Delete what is not to be kept, thread by thread, each in a transaction; it may be stopped at any time.

    Args:
        retention: what is kept.
        dry_run: change nothing, and tell what would be done.

    Raises:
        DatabaseError: the database can't be had.
    """
    saver = await postgres_checkpointer()
    swept = Swept()
    for row in await _threads(saver, retention):
        if row["idle"] and row["unfinished"]:
            swept = replace(swept, waiting=swept.waiting + 1)
        elif row["idle"]:
            swept = await _deleted(saver, row["thread_id"], retention, swept, dry_run=dry_run)
        elif retention.checkpoints:
            gone = await _pruned(saver, row, retention.checkpoints, dry_run=dry_run)
            if gone[0]:
                swept = _with(replace(swept, pruned=swept.pruned + 1), gone)
    return swept


@asynccontextmanager
async def swept_regularly(
    retention: Retention,
    *,
    also: Sequence[Callable[[], Awaitable[object]]] = (),
    every_s: float = SWEEP_EVERY_S,
) -> AsyncGenerator[None]:
    """Sweep from time to time while the caller goes on, if there is anything that is not to be kept.

    Args:
        retention: what is kept of threads.
        also: further sweeps, of what other parts keep; what they return is logged.
        every_s: seconds between two sweeps.
    """
    sweeps = [*also] if retention == Retention() else [lambda: sweep(retention), *also]
    if not sweeps:
        yield
        return
    sweeping = asyncio.create_task(_sweep_regularly(sweeps, every_s), name="retention")
    try:
        yield
    finally:
        sweeping.cancel()
        with suppress(asyncio.CancelledError):
            await sweeping


async def _sweep_regularly(sweeps: Sequence[Callable[[], Awaitable[object]]], every_s: float) -> None:
    while True:
        for one in sweeps:
            try:
                _log.info("Swept: %s", await one())
            except (BoringError, psycopg.Error) as error:
                _log.warning(
                    "A sweep of what is not to be kept, or for signals, failed; the next one is later: %s",
                    error,
                )
        await asyncio.sleep(every_s)


async def _threads(saver: Saver, retention: Retention, thread: str | None = None) -> list[dict[str, Any]]:
    wanted = {"idle": retention.idle, "keep": retention.checkpoints, "thread": thread}
    async with saver.connection() as connection:
        return await (await connection.execute(_THREADS, wanted)).fetchall()


async def _deleted(saver: Saver, thread: str, retention: Retention, swept: Swept, *, dry_run: bool) -> Swept:
    claims = await current_claims()
    try:
        async with claims.held(thread, alone=True):
            rows = await _threads(saver, retention, thread)
            if not any(row["idle"] and not row["unfinished"] for row in rows):
                return replace(swept, busy=swept.busy + 1)  # it has been used meanwhile
            gone = await _gone(saver, thread, dry_run=dry_run)
    except ThreadBusyError:
        return replace(swept, busy=swept.busy + 1)
    return _with(replace(swept, deleted=swept.deleted + 1), gone)


async def _gone(saver: Saver, thread: str, *, dry_run: bool) -> tuple[int, int]:
    """Delete a thread; return how many checkpoints and bytes went."""
    async with saver.connection() as connection, connection.transaction(), connection.cursor() as cursor:
        size = await thread_size(cursor, thread)
        if not dry_run:
            await delete_threads(cursor, [thread])
            for statement in _RECOVERY:
                await cursor.execute(statement, {"thread": thread, "threads": [thread]})
        return size


async def _pruned(saver: Saver, row: dict[str, Any], keep: int, *, dry_run: bool) -> tuple[int, int]:
    """Prune a thread; return how many checkpoints and bytes went. A dry run does it and takes it back."""
    thread, gone = row["thread_id"], (0, 0)
    wholes = await whole_conversations(saver, thread, keep=keep) if row["ours"] else []
    async with saver.connection() as connection, connection.transaction(), connection.cursor() as cursor:
        before = await thread_size(cursor, thread)
        await store_whole(cursor, wholes)
        await keep_latest(cursor, thread, keep=keep)
        after = await thread_size(cursor, thread)
        gone = (before[0] - after[0], before[1] - after[1])
        if dry_run:
            raise Rollback
    return gone


async def thread_size(cursor: AsyncCursor[DictRow], thread: str) -> tuple[int, int]:
    """Return how many checkpoints a thread has, and what their rows take, in bytes."""
    row = await (await cursor.execute(_SIZE, {"thread": thread})).fetchone()
    return (row["checkpoints"], row["bytes"] or 0) if row else (0, 0)


def _with(swept: Swept, gone: tuple[int, int]) -> Swept:
    return replace(swept, checkpoints=swept.checkpoints + gone[0], freed_bytes=swept.freed_bytes + gone[1])
