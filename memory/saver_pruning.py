"""Checkpoints that may go, and those that have to stay since others are rebuilt from them.

A delta channel's value is not in each checkpoint: it is the nearest stored one among the ancestors, and what
was written since. Whoever deletes such an ancestor, or its writes, empties the channel without an error.
"""

from typing import Final, LiteralString

from psycopg import AsyncCursor
from psycopg.rows import DictRow

_DELETE_THREADS: Final[tuple[LiteralString, ...]] = (
    "delete from checkpoints where thread_id = any(%s)",
    "delete from checkpoint_blobs where thread_id = any(%s)",
    "delete from checkpoint_writes where thread_id = any(%s)",
    "delete from boring.thread_copy where thread_id = any(%s)",
)

_NEEDED: Final[LiteralString] = """
delta as materialized (
    select distinct thread_id, checkpoint_ns,
        jsonb_object_keys(metadata -> 'counters_since_delta_snapshot') as channel
    from checkpoints
    where thread_id = any(%(threads)s) and metadata ? 'counters_since_delta_snapshot'
), walk (thread_id, checkpoint_ns, checkpoint_id, channel) as (
    select kept.thread_id, kept.checkpoint_ns, kept.checkpoint_id, delta.channel
    from kept join delta using (thread_id, checkpoint_ns)
    union
    select walk.thread_id, walk.checkpoint_ns, own.parent_checkpoint_id, walk.channel
    from walk join checkpoints as own using (thread_id, checkpoint_ns, checkpoint_id)
    where own.parent_checkpoint_id is not null
        and own.checkpoint -> 'channel_values' ->> walk.channel is null
        and not exists (
            select from checkpoint_blobs as blob
            where blob.thread_id = walk.thread_id and blob.checkpoint_ns = walk.checkpoint_ns
                and blob.channel = walk.channel and blob.type <> 'empty'
                and blob.version = own.checkpoint -> 'channel_versions' ->> walk.channel)
), needed as (
    select thread_id, checkpoint_ns, checkpoint_id from kept
    union
    select thread_id, checkpoint_ns, checkpoint_id from walk
)
"""
"""From `kept` to `needed`: with the ancestors, up to the nearest one that has the value of each channel."""

_GO: Final[LiteralString] = """
go as (
    select thread_id, checkpoint_ns, checkpoint_id from checkpoints
    where thread_id = any(%(threads)s)
    except select thread_id, checkpoint_ns, checkpoint_id from needed
), gone as (
    delete from checkpoints using go
    where (checkpoints.thread_id, checkpoints.checkpoint_ns, checkpoints.checkpoint_id)
        = (go.thread_id, go.checkpoint_ns, go.checkpoint_id)
), written as (
    delete from checkpoint_writes as write using go
    where (write.thread_id, write.checkpoint_ns, write.checkpoint_id)
        = (go.thread_id, go.checkpoint_ns, go.checkpoint_id)
)
update checkpoints as orphan set parent_checkpoint_id = null
from go, needed
where (orphan.thread_id, orphan.checkpoint_ns, orphan.parent_checkpoint_id)
        = (go.thread_id, go.checkpoint_ns, go.checkpoint_id)
    and (orphan.thread_id, orphan.checkpoint_ns, orphan.checkpoint_id)
        = (needed.thread_id, needed.checkpoint_ns, needed.checkpoint_id)
"""

# The newest of each namespace; those of before version 4 read their sends from their parent. A subgraph's
# call (its namespace ends in `:` and its task) goes with the root checkpoint that it was made from.
_KEPT_LATEST: Final[LiteralString] = """
with recursive ranked as (
    select thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, checkpoint, metadata,
        row_number() over (partition by thread_id, checkpoint_ns order by checkpoint_id desc) as rank
    from checkpoints where thread_id = any(%(threads)s)
), newest as (
    select * from ranked
    where rank <= %(keep)s and (
        strpos(checkpoint_ns, ':') = 0
        or not exists (
            select from ranked as root
            where root.thread_id = ranked.thread_id and root.checkpoint_ns = '' and root.rank > %(keep)s
                and root.checkpoint_id = ranked.metadata -> 'parents' ->> ''))
), kept as (
    select thread_id, checkpoint_ns, checkpoint_id from newest
    union
    select thread_id, checkpoint_ns, parent_checkpoint_id from newest
    where (checkpoint ->> 'v')::int < 4 and exists (
        select from checkpoint_writes as sent
        where (sent.thread_id, sent.checkpoint_ns, sent.checkpoint_id, sent.channel)
            = (newest.thread_id, newest.checkpoint_ns, newest.parent_checkpoint_id, '__pregel_tasks'))
), """

_KEPT_OF_OTHER_RUNS: Final[LiteralString] = """
with recursive kept as (
    select thread_id, checkpoint_ns, checkpoint_id from checkpoints
    where thread_id = any(%(threads)s) and (metadata ->> 'run_id' = any(%(runs)s)) is not true
), """

# A run may go on meanwhile. It saves a checkpoint and its blobs in one statement: both are seen, or neither.
_UNUSED_BLOBS: Final[LiteralString] = """
with used as materialized (
    select thread_id, checkpoint_ns, version.key as channel, version.value as version
    from checkpoints cross join jsonb_each_text(checkpoint -> 'channel_versions') as version
    where thread_id = any(%(threads)s)
)
delete from checkpoint_blobs as blob
where blob.thread_id = any(%(threads)s) and not exists (
    select from used
    where (used.thread_id, used.checkpoint_ns, used.channel, used.version)
        = (blob.thread_id, blob.checkpoint_ns, blob.channel, blob.version))
"""
_THREADS_OF_RUNS: Final[LiteralString] = """
select distinct thread_id from checkpoints where metadata ->> 'run_id' = any(%(runs)s)
"""


async def delete_threads(cursor: AsyncCursor[DictRow], threads: list[str]) -> None:
    """Delete all that is kept of threads, in an open transaction."""
    for statement in _DELETE_THREADS:
        await cursor.execute(statement, (threads,))


async def keep_latest(cursor: AsyncCursor[DictRow], thread_id: str, *, keep: int) -> None:
    """Delete a thread's older checkpoints in an open transaction.

    Args:
        cursor: in the transaction.
        thread_id: the thread.
        keep: how many of the newest checkpoints of each namespace stay, with what they are rebuilt from.
    """
    values = {"threads": [thread_id], "keep": keep}
    await cursor.execute(_KEPT_LATEST + _NEEDED + "," + _GO, values)
    await cursor.execute(_UNUSED_BLOBS, values)


async def delete_for_runs(cursor: AsyncCursor[DictRow], runs: list[str]) -> None:
    """Delete the checkpoints of runs in an open transaction, but for those that others are rebuilt from."""
    found = await cursor.execute(_THREADS_OF_RUNS, {"runs": runs})
    threads = [row["thread_id"] for row in await found.fetchall()]
    if threads:
        values = {"threads": threads, "runs": runs}
        await cursor.execute(_KEPT_OF_OTHER_RUNS + _NEEDED + "," + _GO, values)
        await cursor.execute(_UNUSED_BLOBS, values)
