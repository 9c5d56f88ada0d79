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


_THERE: Final[LiteralString] = """
select exists (select from checkpoints where thread_id = %(source)s) as source,
    exists (select from checkpoints where thread_id = %(target)s) as target
"""


class NothingToCopyError(ValueError):
    """A thread was to be copied that has no checkpoints."""


async def copy_thread(cursor: AsyncCursor[DictRow], source: str, target: str) -> None:
    """Copy a thread in an open transaction, which has to be the first thing that it does.

    Raises:
        NothingToCopyError: the source has no checkpoints.
        ValueError: the target is the source, or has checkpoints already.
        psycopg.errors.UniqueViolation: somebody copies to the target at the same moment.
    """
    if source == target:
        raise ValueError(f"the thread {source!r} would be copied onto itself; expected another id")
    # One view of the three tables: a run may be writing to the source.
    await cursor.execute("set transaction isolation level repeatable read")
    there = await (await cursor.execute(_THERE, {"source": source, "target": target})).fetchone()
    if there is None or not there["source"]:
        raise NothingToCopyError(f"there is no thread {source!r} with checkpoints; expected one to copy")
    if there["target"]:
        raise ValueError(f"the thread {target!r} has checkpoints already; expected an id that is free")
    for statement in _COPY:
        await cursor.execute(statement, {"source": source, "target": target})
