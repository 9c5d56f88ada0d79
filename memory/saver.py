"""The project's saver: LangGraph's tables and formats, many calls at once, each write fenced.

The library's saver lets one call in at a time, even with a pool. Here every call has a connection of the pool
to itself, and a checkpoint with its values is one statement, so it is there wholly or not at all.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, LiteralString

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    get_serializable_checkpoint_metadata,
)
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.serde.types import _DeltaSnapshot  # pyright: ignore[reportPrivateUsage] - no other name
from psycopg import AsyncConnection, AsyncCursor
from psycopg.rows import DictRow, dict_row
from psycopg.types.json import Jsonb

from core.database import Pool
from core.worker import Worker
from memory.claims import PATIENCE_S, RETRY_S
from memory.saver_copying import copy_thread
from memory.saver_fence import FENCE, PASSED, begin_reading, fence_values, note_held, refusal
from memory.saver_pruning import delete_for_runs, delete_threads, keep_latest

_CUT: Final[LiteralString] = "substring(%(data)b::bytea from (row ->> 3)::int for (row ->> 4)::int)"
_PUT: LiteralString = (
    "with "  # noqa: S608 - all of it is constant
    + FENCE
    + """, blobs as (
    insert into checkpoint_blobs (thread_id, checkpoint_ns, channel, version, type, blob)
    select %(thread_id)s, %(checkpoint_ns)s, row ->> 0, row ->> 1, row ->> 2, """
    + _CUT
    + """
    from jsonb_array_elements(%(rows)s) as row
    where """
    + PASSED
    + """
    on conflict (thread_id, checkpoint_ns, channel, version) do nothing
), saved as (
    insert into checkpoints
        (thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, checkpoint, metadata)
    select %(thread_id)s, %(checkpoint_ns)s, %(checkpoint_id)s, %(parent_checkpoint_id)s,
        %(checkpoint)s, %(metadata)s
    where """
    + PASSED
    + """
    on conflict (thread_id, checkpoint_ns, checkpoint_id)
    do update set checkpoint = excluded.checkpoint, metadata = excluded.metadata
)
select verdict from fence
"""
)
_WRITE: LiteralString = (
    "with "  # noqa: S608 - all of it is constant
    + FENCE
    + """, saved as (
    insert into checkpoint_writes
        (thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, blob)
    select %(thread_id)s, %(checkpoint_ns)s, %(checkpoint_id)s, %(task_id)s, %(task_path)s,
        (row ->> 0)::int, row ->> 1, row ->> 2, """
    + _CUT
    + """
    from jsonb_array_elements(%(rows)s) as row
    where """
    + PASSED
    + """
    on conflict (thread_id, checkpoint_ns, checkpoint_id, task_id, idx) """
)
_WRITE_ONCE: LiteralString = _WRITE + "do nothing\n) select verdict from fence"  # noqa: S608 - all of it is constant
_WRITE_OVER: LiteralString = (
    _WRITE  # noqa: S608 - all of it is constant
    + "do update set channel = excluded.channel, type = excluded.type, blob = excluded.blob\n"
    + ") select verdict from fence"
)


class Saver(AsyncPostgresSaver):
    """Checkpoints in Postgres, for many runs at once and one worker a thread.

    Threads without a lease may be written by anybody: graphs of others, copies, tools.
    """

    def __init__(self, pool: Pool, worker: Worker) -> None:
        """Take connections from `pool`, which the caller keeps open, and write as `worker`."""
        super().__init__(pool)  # pyright: ignore[reportArgumentType] - rows are dicts, see Database
        self._pool = pool
        self._worker = worker

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Return a checkpoint with what is pending at it, the newest where the config names none."""
        of = config.get("configurable", {})
        if not of.get("checkpoint_ns"):
            begin_reading(str(of["thread_id"]), self._worker)
        return await super().aget_tuple(config)

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Save a checkpoint and the values that are new in it, in one transaction.

        Raises:
            ThreadBusyError: another worker has the thread; nothing is saved.
        """
        of = config.get("configurable", {})
        inline, stored = _divided(checkpoint["channel_values"])
        blobs = [
            (channel, str(version), *self.serde.dumps_typed(stored[channel]))
            for channel, version in new_versions.items()
            if channel in stored
        ]
        place = {
            "thread_id": of["thread_id"],
            "checkpoint_ns": of["checkpoint_ns"],
            "checkpoint_id": checkpoint["id"],
        }
        values = {
            **place,
            "parent_checkpoint_id": of.get("checkpoint_id"),
            "checkpoint": Jsonb({**checkpoint, "channel_values": inline}),
            "metadata": Jsonb(get_serializable_checkpoint_metadata(config, metadata)),
            **_packed(blobs),
        }
        await self._write(_PUT, values)
        return {"configurable": place}

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Save what a task has written, before its step is over.

        Raises:
            ThreadBusyError: another worker has the thread; nothing is saved.
        """
        of = config.get("configurable", {})
        special = all(channel in WRITES_IDX_MAP for channel, _ in writes)
        rows: dict[int, tuple[Any, ...]] = {}
        for place, (channel, value) in enumerate(writes):
            index = WRITES_IDX_MAP.get(channel, place)
            if special or index not in rows:
                rows[index] = (index, channel, *self.serde.dumps_typed(value))
        values = {
            "thread_id": of["thread_id"],
            "checkpoint_ns": of.get("checkpoint_ns", ""),
            "checkpoint_id": of["checkpoint_id"],
            "task_id": task_id,
            "task_path": task_path,
            **_packed(rows.values()),
        }
        await self._write(_WRITE_OVER if special else _WRITE_ONCE, values)

    async def adelete_thread(self, thread_id: str) -> None:
        """Delete all that is kept of a thread, in one transaction."""
        await self.aprune([thread_id], strategy="delete")

    async def adelete_for_runs(self, run_ids: Iterable[str]) -> None:
        """Delete the checkpoints of runs, so that their threads stand where they stood before.

        A checkpoint stays where a later one of another run needs it to rebuild its values.
        """
        async with self._transaction() as cursor:
            await delete_for_runs(cursor, [str(one) for one in run_ids])

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy all that is kept of a thread, its whole history, to another id."""
        async with self._transaction() as cursor:
            await copy_thread(cursor, str(source_thread_id), str(target_thread_id))

    async def aprune(
        self, thread_ids: Sequence[str], *, strategy: str = "keep_latest", keep: int = 1
    ) -> None:
        """Delete checkpoints of threads; each thread is one transaction.

        Args:
            thread_ids: the threads.
            strategy: `keep_latest` keeps the newest checkpoints of each namespace and the ancestors from
                which their values are rebuilt; `delete` keeps nothing.
            keep: how many of the newest of each namespace, at least 1.

        Raises:
            TypeError: `thread_ids` is one string.
            ValueError: the strategy is unknown, or `keep` is less than 1.
        """
        if isinstance(thread_ids, str):
            raise TypeError("thread_ids must be a sequence of thread ids, not one string")
        if strategy not in {"keep_latest", "delete"} or keep < 1:
            raise ValueError(
                f"strategy {strategy!r} with keep={keep}: expected keep_latest or delete, from 1"
            )
        for thread_id in map(str, thread_ids):
            async with self._transaction() as cursor:
                if strategy == "delete":
                    await delete_threads(cursor, [thread_id])
                else:
                    await keep_latest(cursor, thread_id, keep=keep)

    async def _write(self, statement: LiteralString, values: dict[str, Any]) -> None:
        """Run a fenced statement; wait a moment for a holder that may just have been killed."""
        thread_id = str(values["thread_id"])
        deadline = asyncio.get_running_loop().time() + PATIENCE_S
        waited = False
        while True:
            async with self._cursor() as cursor:
                epoch = self._worker.epoch
                fenced = {**values, **fence_values(thread_id, self._worker), "waited": waited}
                await cursor.execute(statement, fenced)
                row = await cursor.fetchone()
            verdict = row["verdict"] if row else "lost"
            if verdict == "own":
                note_held(thread_id, epoch)
            if verdict in {"own", "free"}:
                return
            if verdict != "busy" or asyncio.get_running_loop().time() > deadline:
                raise refusal(thread_id, verdict)
            waited = True
            await asyncio.sleep(RETRY_S)

    @asynccontextmanager
    async def connection(self) -> AsyncGenerator[AsyncConnection[DictRow]]:
        """Have a connection to the tables, which nobody else uses meanwhile."""
        async with self._pool.connection() as connection:
            yield connection

    @asynccontextmanager
    async def _transaction(self) -> AsyncGenerator[AsyncCursor[DictRow]]:
        async with self._cursor() as cursor, cursor.connection.transaction():
            yield cursor

    @asynccontextmanager
    async def _cursor(self, *, pipeline: bool = False) -> AsyncGenerator[AsyncCursor[DictRow]]:
        """Have a connection of the pool; the library's methods come through here too."""
        del pipeline  # what is written is one statement, or a transaction
        async with (
            self._pool.connection() as connection,
            connection.cursor(binary=True, row_factory=dict_row) as cursor,
        ):
            yield cursor


def _divided(values: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what stands in the checkpoint itself, and what is stored beside it."""
    inline: dict[str, Any] = {}
    stored: dict[str, Any] = {}
    for channel, value in values.items():
        if isinstance(value, _DeltaSnapshot):
            inline[channel] = True
            stored[channel] = value
        elif value is None or isinstance(value, (str, int, float, bool)):
            inline[channel] = value
        else:
            stored[channel] = value
    return inline, stored


def _packed(rows: Iterable[tuple[Any, ...]]) -> dict[str, Any]:
    """Return rows that end in bytes as two parameters: what else is in them, and the bytes of all.

    As arrays, a column each, they would cost several times as much to send.
    """
    places: list[Any] = []
    parts: list[bytes] = []
    begin = 1
    for *values, part in rows:
        places.append([*values, begin, len(part)])
        parts.append(part)
        begin += len(part)
    return {"rows": Jsonb(places), "data": b"".join(parts)}
