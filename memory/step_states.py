"""What a step of a run has written, and the state of its graph after it, as checkpoints have them.

A step begins at a checkpoint. What its task writes is kept there until the step is over; then the checkpoint
that follows has the state. Both go when a thread's old checkpoints are pruned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, LiteralString

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.serde.types import _DeltaSnapshot  # pyright: ignore[reportPrivateUsage] - no other name

from core.message_log import logged
from memory.saver import Saver
from memory.saver_compacting import CHANNEL

_WRITES: LiteralString = """
select channel, type, blob from checkpoint_writes
where (thread_id, checkpoint_ns, checkpoint_id, task_id) = (%(thread)s, %(ns)s, %(id)s, %(task)s)
order by idx limit %(most)s
"""
# Of several that follow, since somebody went on from the same one again, the first one that is not older.
_FOLLOWING: LiteralString = """
select checkpoint_id from checkpoints
where thread_id = %(thread)s and checkpoint_ns = %(ns)s and checkpoint_id > %(id)s
    and parent_checkpoint_id = %(id)s and metadata ->> 'source' = 'loop'
order by (checkpoint ->> 'ts')::timestamptz < %(ended)s, checkpoint_id limit 1
"""
_MOST_WRITES: Final = 200


@dataclass(frozen=True, slots=True)
class StepPlace:
    """Where a step stands among the checkpoints.

    Attributes:
        thread_id: its thread.
        checkpoint_id: which it began at.
        task_ns: of its task: the namespace of the graph, `|`, the node, `:`, the task.
        ended_at: when it ended.
    """

    thread_id: str
    checkpoint_id: str
    task_ns: str
    ended_at: datetime

    @property
    def ns(self) -> str:
        """The namespace of the graph; empty for one that is no part of another."""
        return self.task_ns.rpartition("|")[0]

    @property
    def values(self) -> dict[str, Any]:
        """What statements ask by."""
        return {
            "thread": self.thread_id,
            "ns": self.ns,
            "id": self.checkpoint_id,
            "task": self.task_ns.rpartition(":")[2],
            "ended": self.ended_at,
            "most": _MOST_WRITES,
        }


async def written_by(saver: Saver, place: StepPlace) -> Sequence[tuple[str, Any]]:
    """Return what a step has written, channel by channel in order; nothing where that is pruned."""
    async with saver.connection() as connection:
        rows = await (await connection.execute(_WRITES, place.values)).fetchall()
    return [(row["channel"], saver.serde.loads_typed((row["type"], row["blob"] or b""))) for row in rows]


async def state_after(saver: Saver, place: StepPlace) -> Mapping[str, Any] | None:
    """Return the state after a step, by channel; None where there is none: it is pruned, or never came.

    Steps that ran side by side have one state after all of them.
    """
    async with saver.connection() as connection:
        row = await (await connection.execute(_FOLLOWING, place.values)).fetchone()
    return None if row is None else await _state_at(saver, place, row["checkpoint_id"])


async def state_before(saver: Saver, place: StepPlace) -> Mapping[str, Any] | None:
    """Return the state that a step began with, by channel; None where that is pruned."""
    return await _state_at(saver, place, place.checkpoint_id)


async def _state_at(saver: Saver, place: StepPlace, checkpoint_id: str) -> Mapping[str, Any] | None:
    at = {"thread_id": place.thread_id, "checkpoint_ns": place.ns, "checkpoint_id": checkpoint_id}
    config: RunnableConfig = {"configurable": at}
    found = await saver.aget_tuple(config)
    if found is None:
        return None
    values = {
        channel: value.value if isinstance(value, _DeltaSnapshot) else value
        for channel, value in found.checkpoint["channel_values"].items()
    }
    if CHANNEL in found.checkpoint["channel_versions"] and CHANNEL not in values:
        history = (await saver.aget_delta_channel_history(config=config, channels=[CHANNEL]))[CHANNEL]
        values[CHANNEL] = logged(history.get("seed"), history["writes"])
    return values
