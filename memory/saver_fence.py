"""Fencing: what an invocation may write, judged by the database in the statement that writes.

A worker that stood still may have lost its thread meanwhile, and the one that took it over may have given it
back since. So an invocation remembers under which connection of its worker (its epoch) it held the thread.
While that connection lasts nobody can have taken the thread over; once it is gone, only the lease can tell.
"""

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final, LiteralString

from core.errors import ThreadBusyError
from core.worker import Worker


@dataclass(slots=True)
class Standing:
    """What one invocation knows of its right to a thread.

    Attributes:
        epoch: the connection of the worker under which the thread was last known to be its own.
        held: whether the invocation has held the thread.
    """

    thread_id: str
    epoch: int
    held: bool = False


_standing: ContextVar[Standing | None] = ContextVar("standing", default=None)

FENCE: Final[LiteralString] = """
lease as materialized (
    select worker from boring.thread_lease where thread_id = %(thread_id)s for share
), fence as materialized (
    select case
        when (select worker from lease) = %(worker)s then 'own'
        when %(held)s then case
            when exists (select from lease) or %(over)s then 'lost'
            when pg_try_advisory_xact_lock(hashtextextended('boring worker ' || %(worker)s, 0)) then 'lost'
            else 'free' end
        when not exists (select from lease) then case when %(waited)s then 'late' else 'free' end
        when pg_try_advisory_xact_lock(hashtextextended('boring worker ' || (select worker from lease), 0))
            then 'free'
        else 'busy' end as verdict
)
"""
"""Common table expressions that judge a write: `own` and `free` may pass, `lost`, `busy` and `late` may not.

`busy` may change, if its holder turns out to be gone. It is `late` when the holder has given the thread back
while it was waited for: what the waiting one has read of the thread is out of date.

Sharing the row of the lease makes a worker that takes the thread over wait until the write is committed.
"""
PASSED: Final[LiteralString] = "(select verdict from fence) in ('own', 'free')"


def begin_reading(thread_id: str, worker: Worker) -> None:
    """Note that an invocation begins to read a thread: what it writes from now on rests on that."""
    _standing.set(Standing(thread_id, worker.epoch))


def note_held(thread_id: str, epoch: int) -> None:
    """Note that the thread is the running invocation's, proved under that connection of its worker."""
    standing = _standing.get()
    if standing is not None and standing.thread_id == thread_id:
        standing.held = True
        standing.epoch = max(standing.epoch, epoch)


def was_cut_off(thread_id: str, epoch: int) -> bool:
    """Tell whether the running invocation held the thread under another connection of its worker."""
    standing = _standing.get()
    if standing is None or standing.thread_id != thread_id:
        return False
    return standing.held and standing.epoch != epoch


def fence_values(thread_id: str, worker: Worker) -> dict[str, Any]:
    """Return the parameters of `FENCE`, as things stand now: to be sent at once."""
    standing = _standing.get()
    held = standing is not None and standing.thread_id == thread_id and standing.held
    over = was_cut_off(thread_id, worker.epoch)
    return {"thread_id": thread_id, "worker": worker.id, "held": held, "over": over}


def refusal(thread_id: str, verdict: str) -> ThreadBusyError:
    """Return why a write did not pass."""
    if verdict == "lost":
        return ThreadBusyError(
            f"Another process has taken over the thread {thread_id!r}; this one does nothing more on it. It "
            "stood still, or was cut off from the database, and nothing that it would have saved since is "
            "saved. Resume the thread to see how it goes on."
        )
    return ThreadBusyError(
        f"Another process or request is working on the thread {thread_id!r}. Wait until it has ended, or use "
        "another thread."
    )
