"""A thread copied to another id: every checkpoint, since later ones are rebuilt from earlier ones."""

from typing import Final, LiteralString

from psycopg import AsyncCursor
from psycopg.rows import DictRow

_COPY: Final[tuple[LiteralString, ...]] = (
    """
    insert into checkpoint_blobs (thread_id, checkpoint_ns, channel, version, type, blob)
    select %(target)s, checkpoint_ns, channel, version, type, blob
    from checkpoint_blobs where thread_id = %(source)s
    """,
    """
    insert into checkpoint_writes
        (thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, blob)
    select %(target)s, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, blob
    from checkpoint_writes where thread_id = %(source)s
    """,
    """
    insert into checkpoints
        (thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, type, checkpoint, metadata)
    select %(target)s, checkpoint_ns, checkpoint_id, parent_checkpoint_id, type, checkpoint, metadata
    from checkpoints where thread_id = %(source)s
    """,
    """
    insert into boring.thread_copy (thread_id, tenant, user_id)
    select %(target)s, coalesce(context ->> 'tenant', 'local'), coalesce(context ->> 'user', 'local')
    from boring.run where thread_id = %(source)s
    union select %(target)s, tenant, user_id from boring.thread_copy where thread_id = %(source)s
    on conflict do nothing
    """,
)


async def copy_thread(cursor: AsyncCursor[DictRow], source: str, target: str) -> None:
    """Copy a thread in an open transaction, which has to be the first thing that it does.

    Raises:
        psycopg.errors.UniqueViolation: the target has checkpoints of the same ids already.
    """
    # One view of the three tables: a run may be writing to the source.
    await cursor.execute("set transaction isolation level repeatable read")
    for statement in _COPY:
        await cursor.execute(statement, {"source": source, "target": target})
