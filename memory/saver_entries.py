"""What is to be saved, and the statement that saves any number of such entries, each judged by the fence.

The call that has an entry turns it into JSON and bytes, so that one that can't be fails that call alone.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, LiteralString

from memory.saver_fence import FENCE_PASSING_OVER, FENCE_WAITING, Standing

Kind = Literal["checkpoint", "write once", "write over"]
Blob = tuple[Any, ...]
"""A row of values; the last one is bytes."""


@dataclass(slots=True)
class Entry:
    """A checkpoint with its values, or what a task has written.

    Attributes:
        standing: what its invocation knows of its right to the thread.
        kind: what it is.
        body: its part of the parameter `entries`, as JSON without the brackets.
        data: the bytes of its rows, one after the other.
        rows: names the rows that it changes; what changes the same ones comes after it.
        waited: whether the thread's holder has been waited for.
    """

    thread_id: str
    standing: Standing | None
    kind: Kind
    body: str
    data: bytes
    rows: tuple[str, ...] = ()
    waited: bool = False

    def fenced(self, begin: int, epoch: int) -> str:
        """Return the entry as JSON.

        Args:
            begin: how many bytes of other entries come before its own.
            epoch: the worker's connection.
        """
        standing = self.standing
        held = standing is not None and standing.held
        over = standing is not None and standing.was_cut_off(epoch)
        since = 0 if standing is None else standing.epoch
        return f"[{begin},{_JSON[held]},{_JSON[over]},{_JSON[self.waited]},{since},{self.body}]"


_JSON: Final = {False: "false", True: "true"}
_ENTRIES: Final[LiteralString] = """
with entry as materialized (
    select number, (one -> 0)::int as begin, (one -> 1)::bool as held, (one -> 2)::bool as over,
        (one -> 3)::bool as waited, one ->> 4 as epoch, one ->> 5 as kind, one ->> 6 as thread_id,
        one ->> 7 as ns, one ->> 8 as id, one -> 9 as blobs, one ->> 10 as first, one -> 11 as second,
        one -> 12 as third
    from jsonb_array_elements(%(entries)s::jsonb) with ordinality as list (one, number)
), """
_CUT: Final[LiteralString] = """
substring(%(data)s::bytea from begin + (blob ->> 3)::int for (blob ->> 4)::int)
from passed cross join jsonb_array_elements(blobs) as blob where kind = """
_WRITES: Final[LiteralString] = (
    """
    insert into checkpoint_writes
        (thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, blob)
    select thread_id, ns, id, first, second #>> '{}', (blob ->> 0)::int, blob ->> 1, blob ->> 2, """
    + _CUT
)
_CHECKPOINT: Final[LiteralString] = (
    """, blobs as (
    insert into checkpoint_blobs (thread_id, checkpoint_ns, channel, version, type, blob)
    select thread_id, ns, blob ->> 0, blob ->> 1, blob ->> 2, """  # noqa: S608 - all of it is constant
    + _CUT
    + """'checkpoint'
    on conflict (thread_id, checkpoint_ns, channel, version) do nothing
), checkpoint as (
    insert into checkpoints
        (thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, checkpoint, metadata)
    select thread_id, ns, id, first, second, third from passed where kind = 'checkpoint'
    on conflict (thread_id, checkpoint_ns, checkpoint_id)
    do update set checkpoint = excluded.checkpoint, metadata = excluded.metadata
)"""
)
_ONCE: Final[LiteralString] = (
    ", once as ("
    + _WRITES
    + """'write once'
    on conflict (thread_id, checkpoint_ns, checkpoint_id, task_id, idx) do nothing
)"""
)
_OVER: Final[LiteralString] = (
    ", over as ("
    + _WRITES
    + """'write over'
    on conflict (thread_id, checkpoint_ns, checkpoint_id, task_id, idx)
    do update set channel = excluded.channel, type = excluded.type, blob = excluded.blob
)"""
)
_VERDICTS: Final[LiteralString] = " select verdict from fence order by number"


def statement_for(entries: Sequence[Entry]) -> LiteralString:
    """Return the statement that saves entries and returns a verdict for each.

    One that comes alone waits for its lease; see `FENCE_WAITING` and `FENCE_PASSING_OVER`. What no entry
    needs is left out, since Postgres would prepare it for nothing.
    """
    kinds = {entry.kind for entry in entries}
    fence = FENCE_WAITING if len(entries) == 1 else FENCE_PASSING_OVER
    checkpoint = _CHECKPOINT if "checkpoint" in kinds else ""
    once = _ONCE if "write once" in kinds else ""
    over = _OVER if "write over" in kinds else ""
    return _ENTRIES + fence + checkpoint + once + over + _VERDICTS


def body_of(
    kind: Kind, place: Sequence[str], blobs: Iterable[Blob], values: Sequence[Any]
) -> tuple[str, bytes]:
    """Return the body and the data of an entry.

    As arrays, a column each, the rows would cost several times as much to send.

    Args:
        kind: what it is.
        place: its thread, namespace and checkpoint.
        blobs: the rows that go with it.
        values: parent, checkpoint and metadata; or task and its path.

    Raises:
        TypeError: something is no JSON.
    """
    places: list[Any] = []
    parts: list[bytes] = []
    begin = 1
    for *columns, part in blobs:
        places.append([*columns, begin, len(part)])
        parts.append(part)
        begin += len(part)
    return json.dumps([kind, *place, places, *values])[1:-1], b"".join(parts)


def parameters(entries: Sequence[Entry], worker: str, epoch: int) -> dict[str, Any]:
    """Return the parameters of `statement_for`, as things stand now: to be sent at once."""
    begin = 0
    fenced: list[str] = []
    for entry in entries:
        fenced.append(entry.fenced(begin, epoch))
        begin += len(entry.data)
    data = b"".join(entry.data for entry in entries)
    return {"entries": f"[{','.join(fenced)}]", "data": data, "worker": worker}
