"""The project's saver: LangGraph's tables and formats, many calls at once, each write fenced.

The library's saver lets one call in at a time, even with a pool. Here every read has a connection of the pool
to itself, and what many runs save at the same moment is one statement (see `memory.saver_batching`). So a
checkpoint with its values is there wholly or not at all.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

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

from core.database import Pool
from core.worker import Worker
from memory.claims import PATIENCE_S, RETRY_S
from memory.saver_batching import Batches
from memory.saver_copying import copy_thread
from memory.saver_entries import Blob, Entry, Kind, body_of
from memory.saver_fence import begin_reading, refusal, standing_on
from memory.saver_pruning import delete_for_runs, delete_threads, keep_latest


class Saver(AsyncPostgresSaver):
    """Checkpoints in Postgres, for many runs at once and one worker a thread.

    Threads without a lease may be written by anybody: graphs of others, copies, tools.
    """

    def __init__(self, pool: Pool, worker: Worker) -> None:
        """Take connections from `pool`, which the caller keeps open, and write as `worker`."""
        super().__init__(pool)  # pyright: ignore[reportArgumentType] - rows are dicts, see Database
        self._pool = pool
        self._worker = worker
        self._batches = Batches(pool, worker)

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
        values = (
            of.get("checkpoint_id"),
            {**checkpoint, "channel_values": inline},
            get_serializable_checkpoint_metadata(config, metadata),
        )
        thread_id, ns = of["thread_id"], of["checkpoint_ns"]
        await self._save("checkpoint", (thread_id, ns, checkpoint["id"]), blobs, values)
        place = {"thread_id": thread_id, "checkpoint_ns": ns, "checkpoint_id": checkpoint["id"]}
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
        kind = "write over" if special else "write once"
        at = (of["thread_id"], of.get("checkpoint_ns", ""), of["checkpoint_id"])
        await self._save(kind, at, rows.values(), (task_id, task_path))

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
        """Copy all that is kept of a thread, its whole history, to an id that is free.

        Raises:
            ValueError: the source has no checkpoints, or the target has some or is the source.
        """
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

    async def _save(
        self, kind: Kind, place: tuple[Any, str, str], blobs: Iterable[Blob], values: Sequence[Any]
    ) -> None:
        """Save what the fence lets pass; wait a moment for a holder that may just have been killed."""
        thread_id = str(place[0])
        body, data = body_of(kind, (thread_id, *place[1:]), blobs, values)
        rows = (kind, thread_id, *place[1:], *(values[:1] if kind != "checkpoint" else ()))
        entry = Entry(thread_id, standing_on(thread_id), kind, body, data, rows)
        deadline = asyncio.get_running_loop().time() + PATIENCE_S
        while (verdict := await self._batches.save(entry)) not in {"own", "free"}:
            if verdict != "busy" or asyncio.get_running_loop().time() > deadline:
                raise refusal(thread_id, verdict)
            entry.waited = True
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
