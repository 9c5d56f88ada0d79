"""Fencing: what an invocation may write, judged by the database in the statement that writes.

A worker that stood still may have lost its thread meanwhile, and the one that took it over may have given it
back since. So an invocation remembers under which connection of its worker (its epoch) it held the thread.
While that connection lasts nobody can have taken the thread over; once it is gone, only the lease can tell.
"""

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final, LiteralString

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

    def note_held(self, epoch: int) -> None:
        """Note that the thread is the invocation's, proved under that connection of its worker."""
        self.held = True
        self.epoch = max(self.epoch, epoch)

    def was_cut_off(self, epoch: int) -> bool:
        """Tell whether the invocation held the thread under another connection of its worker."""
        return self.held and self.epoch != epoch


_standing: ContextVar[Standing | None] = ContextVar("standing", default=None)

_LEASE: Final[LiteralString] = """
lease as materialized (
    select number, worker from entry cross join lateral (
        select worker from boring.thread_lease where thread_lease.thread_id = entry.thread_id for share"""
_FENCE: Final[LiteralString] = """
    ) as own
), fence as materialized (
    select number, case
        when lease.worker = %(worker)s then 'own'"""
_LOCKED: Final[LiteralString] = """
        when lease.worker is null and exists (
            select from boring.thread_lease where thread_lease.thread_id = entry.thread_id) then 'locked'"""
_VERDICT: Final[LiteralString] = """
        when held then case
            when lease.worker is not null or over then 'lost'
            when pg_try_advisory_xact_lock_shared(
                hashtextextended('boring worker ' || %(worker)s || ' ' || epoch, 0)) then 'lost'
            else 'free' end
        when lease.worker is null then case when waited then 'late' else 'free' end
        when pg_try_advisory_xact_lock_shared(hashtextextended('boring worker ' || lease.worker, 0))
            then 'free'
        else 'busy' end as verdict
    from entry left join lease using (number)
), passed as materialized (
    select entry.* from entry join fence using (number) where verdict in ('own', 'free')
)
"""
FENCE_WAITING: Final[LiteralString] = _LEASE + _FENCE + _VERDICT
"""Common table expressions that judge writes: from `entry` to `fence` and, of those that may pass, `passed`.

`own` and `free` may pass, `lost`, `busy` and `late` may not. `busy` may change, if its holder turns out to be
gone. It is `late` when the holder has given the thread back while it was waited for: what the waiting one has
read of the thread is out of date.

Sharing the row of the lease makes a worker that takes the thread over wait until the write is committed.
Where that row is being changed right now, this waits until it is settled.

A worker is gone if its lock can be had, and was cut off if the lock of the epoch can be had under which it
held the thread. They are asked for as shared, so that writes that ask at the same moment don't take each
other for the worker.
"""
FENCE_PASSING_OVER: Final[LiteralString] = _LEASE + " skip locked" + _FENCE + _LOCKED + _VERDICT
"""The same without waiting, for writes of many threads: those whose lease is being changed are `locked`.

What is `locked` does not pass, and has to be tried by `FENCE_WAITING`.
"""


def begin_reading(thread_id: str, worker: Worker) -> None:
    """Note that an invocation begins to read a thread: what it writes from now on rests on that."""
    _standing.set(Standing(thread_id, worker.epoch))


def standing_on(thread_id: str) -> Standing | None:
    """Return what the running invocation knows of its right to a thread, None where it has not read it."""
    standing = _standing.get()
    return standing if standing is not None and standing.thread_id == thread_id else None


def note_held(thread_id: str, epoch: int) -> None:
    """Note that the thread is the running invocation's, proved under that connection of its worker."""
    if (standing := standing_on(thread_id)) is not None:
        standing.note_held(epoch)


def was_cut_off(thread_id: str, epoch: int) -> bool:
    """Tell whether the running invocation held the thread under another connection of its worker."""
    standing = standing_on(thread_id)
    return standing is not None and standing.was_cut_off(epoch)


def refusal(thread_id: str, verdict: str) -> ThreadBusyError:
    """Return why a write did not pass."""
    if verdict == "lost":
        return ThreadBusyError(
            f"Another process has taken over the thread {thread_id!r}; this one does nothing more on it. It "
            "stood still, or was cut off from the database, and nothing that it would have saved since is "
            "saved, but for how a call ended that was under way. Resume the thread to see how it goes on."
        )
    return ThreadBusyError(
        f"Another process or request is working on the thread {thread_id!r}. Wait until it has ended, or use "
        "another thread."
    )
