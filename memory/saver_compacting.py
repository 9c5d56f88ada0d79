"""Conversations made whole at the oldest checkpoint that is kept, so that what stands before it can go."""

from collections.abc import Sequence
from typing import Any, LiteralString

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.serde.types import _DeltaSnapshot  # pyright: ignore[reportPrivateUsage] - no other name
from psycopg import AsyncCursor
from psycopg.rows import DictRow

from core.message_log import logged
from memory.saver import Saver

CHANNEL = "messages"
_OURS = [CHANNEL, "turn", "stop", "answer"]
"""The channels that every turn of our agents has written; a namespace without them is another graph's."""
# The oldest kept of each line of checkpoints, where the conversation has to be rebuilt from older ones.
_OLDEST: LiteralString = """
with ranked as (
    select checkpoint_ns, checkpoint_id, parent_checkpoint_id, checkpoint,
        row_number() over (partition by checkpoint_ns order by checkpoint_id desc) as rank
    from checkpoints where thread_id = %(thread)s
)
select mine.checkpoint_ns as ns, mine.checkpoint_id as id,
    mine.checkpoint -> 'channel_versions' ->> %(channel)s as version
from ranked as mine join ranked as parent
    on parent.checkpoint_ns = mine.checkpoint_ns and parent.checkpoint_id = mine.parent_checkpoint_id
where mine.rank <= %(keep)s and parent.rank > %(keep)s
    and mine.checkpoint -> 'channel_versions' ?& %(ours)s
    and mine.checkpoint -> 'channel_values' ->> %(channel)s is null
    and not exists (
        select from checkpoint_blobs as blob
        where blob.thread_id = %(thread)s and blob.checkpoint_ns = mine.checkpoint_ns
            and blob.channel = %(channel)s and blob.type <> 'empty'
            and blob.version = mine.checkpoint -> 'channel_versions' ->> %(channel)s)
"""
_STORE: LiteralString = """
with stored as (
    insert into checkpoint_blobs (thread_id, checkpoint_ns, channel, version, type, blob)
    values (%(thread)s, %(ns)s, %(channel)s, %(version)s, %(type)s, %(blob)s)
    on conflict (thread_id, checkpoint_ns, channel, version)
    do update set type = excluded.type, blob = excluded.blob where checkpoint_blobs.type = 'empty'
)
update checkpoints set checkpoint = jsonb_set(checkpoint, array['channel_values', %(channel)s::text], 'true')
where (thread_id, checkpoint_ns, checkpoint_id) = (%(thread)s, %(ns)s, %(id)s)
"""


async def whole_conversations(saver: Saver, thread_id: str, *, keep: int) -> list[dict[str, Any]]:
    """Return a thread's conversations as they stand where its `keep` newest checkpoints begin.

    Args:
        saver: on the database.
        thread_id: a thread of one of our agents: what is written to its channel merges as `MessageLog` says.
        keep: how many of the newest checkpoints of each namespace will be kept.

    Returns:
        For each place where one has to be rebuilt from older checkpoints, what `store_whole` takes.
    """
    wanted: dict[str, Any] = {"thread": thread_id, "channel": CHANNEL, "ours": _OURS, "keep": keep}
    async with saver.connection() as connection:
        rows = await (await connection.execute(_OLDEST, wanted)).fetchall()
    wholes: list[dict[str, Any]] = []
    for row in rows:
        place = {"thread_id": thread_id, "checkpoint_ns": row["ns"], "checkpoint_id": row["id"]}
        config: RunnableConfig = {"configurable": place}
        history = (await saver.aget_delta_channel_history(config=config, channels=[CHANNEL]))[CHANNEL]
        messages = logged(history.get("seed"), history["writes"])
        kind, blob = saver.serde.dumps_typed(_DeltaSnapshot(messages))
        wholes.append({**wanted, **row, "type": kind, "blob": blob})
    return wholes


async def store_whole(cursor: AsyncCursor[DictRow], wholes: Sequence[dict[str, Any]]) -> None:
    """Store conversations whole, in an open transaction.

    Nothing that is read changes. A run may go on meanwhile: it only adds checkpoints.
    """
    for whole in wholes:
        await cursor.execute(_STORE, whole)
