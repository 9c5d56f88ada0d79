"""Where finished spans go: taken in at once, delivered beside the runs, as many as there is room for."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Final, Generic, TypeVar

from core.errors import TransientError

ROOM: Final = 4096
"""Most things that wait for one outlet."""
BATCH: Final = 512
"""Most things that are delivered at once."""
_EVERY_S: Final = 1.0
_PAUSES_S: Final = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""How long an outlet waits before it tries again, after the first failure, the second, and so on."""
_NO_ROOM: Final = "there is no room"
_log = logging.getLogger(__name__)


class RefusedError(Exception):
    """A place does not take a batch, and would not take it later; the message names no content."""


Thing = TypeVar("Thing")


class Outlet(Generic[Thing]):
    """A queue before one place that things such as spans are delivered to.

    Attributes:
        name: of the place, for people.
        what: the things, for people.
        dropped: things that were given up: there was no room, or they could not be delivered.
        delivered: things that have arrived.
        problem: why things were last given up or held back; empty if none were.
    """

    def __init__(
        self,
        name: str,
        deliver: Callable[[Sequence[Thing]], Awaitable[int | None]],
        *,
        what: str = "spans",
        room: int = ROOM,
    ) -> None:
        """Make one; nothing is delivered before it is opened.

        Args:
            name: of the place.
            deliver: delivers a batch and returns how many of it were not taken, or raises. After a
                `TransientError` the batch is tried again later, after a `RefusedError` it is given up; after
                any other error it is tried in parts, and the part that fails is given up.
            what: the things, for people.
            room: most things that wait.
        """
        self.name, self.what = name, what
        self.dropped = 0
        self.delivered = 0
        self.problem = ""
        self._deliver = deliver
        self._room = room
        self._waiting: deque[Thing] = deque()
        self._some = asyncio.Event()
        self._many = asyncio.Event()
        self._ending = asyncio.Event()
        self._failures = 0
        self._at_once = BATCH
        self._told_of: set[str] = set()
        self._delivering: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """How many things wait."""
        return len(self._waiting)

    def put(self, thing: Thing) -> None:
        """Take a thing in; where there is no room, the oldest one is given up."""
        self._waiting.append(thing)
        self._make_room()
        self._some.set()
        if len(self._waiting) >= BATCH:
            self._many.set()

    async def flush(self) -> None:
        """Deliver what is there. What a place can't take now waits, what it refuses is given up."""
        self._some.clear()
        self._many.clear()
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(self._at_once, len(self._waiting)))]
            try:
                not_taken = await self._deliver(batch) or 0
            except TransientError as error:
                self._hold_back(batch, str(error))
                return
            except RefusedError as error:
                self._give_up(len(batch), str(error))
            except Exception as error:  # noqa: BLE001 - whatever else a place fails with, runs go on
                self._set_apart(batch, error)
            except BaseException:
                self._give_up(len(batch), "the process ended")
                raise
            else:
                self._failures = 0
                self._at_once = min(BATCH, 2 * self._at_once)
                self.delivered += len(batch) - not_taken
                if not_taken:
                    self._give_up(not_taken, "they were rejected")

    def _set_apart(self, batch: Sequence[Thing], error: Exception) -> None:
        """Give up the one thing that fails, and no others with it: they are tried in ever smaller batches."""
        if len(batch) == 1:
            self._give_up(1, type(error).__name__, str(error))
            return
        self._at_once = len(batch) // 2
        self._waiting.extendleft(reversed(batch))
        self._make_room()

    def _hold_back(self, batch: Sequence[Thing], why: str) -> None:
        self._failures += 1
        self.problem = why
        if self._ending.is_set():
            self._give_up(len(batch) + len(self._waiting), why)
            self._waiting.clear()
            return
        self._waiting.extendleft(reversed(batch))
        self._make_room()
        self._some.set()

    def _make_room(self) -> None:
        while len(self._waiting) > self._room:
            self._waiting.popleft()
            self._give_up(1, self.problem or _NO_ROOM)

    def _give_up(self, many: int, why: str, more: str = "") -> None:
        """Count things as lost, and log it once for each reason.

        Args:
            many: how many.
            why: the reason, which is kept in the database: no content.
            more: what else the log tells of it.
        """
        self.dropped += many
        self.problem = why
        if why not in self._told_of:
            self._told_of.add(why)
            told = f"{why}: {more}" if more else why
            _log.warning("%d %s for %s were given up: %s.", many, self.what, self.name, told.rstrip("."))

    async def _keep_delivering(self) -> None:
        while self._waiting or not self._ending.is_set():
            await self._some.wait()
            await self._pause(_EVERY_S if not self._failures else 0)
            await self.flush()
            if self._failures:
                await self._ends_within(_PAUSES_S[min(self._failures, len(_PAUSES_S)) - 1])

    async def _pause(self, seconds: float) -> None:
        """Wait until there is a batch, for a while at most."""
        if seconds and not self._ending.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._many.wait(), seconds)

    async def _ends_within(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ending.wait(), seconds)

    def open(self) -> None:
        """Begin to deliver, beside what runs and as no part of it: what is logged there names no run."""
        name = f"deliver {self.what} to {self.name}"
        self._delivering = asyncio.create_task(self._keep_delivering(), name=name, context=Context())

    async def close(self, *, within_s: float) -> None:
        """Deliver what is left, for some seconds at most; what is not delivered then is given up."""
        self._ending.set()
        self._some.set()
        self._many.set()
        if self._delivering is None:
            return
        await asyncio.wait([self._delivering], timeout=within_s)
        if not self._delivering.done():
            self._delivering.cancel()
            await asyncio.wait([self._delivering])
        if self._waiting:
            self._give_up(len(self._waiting), f"the process ended after {within_s:g} s of trying")
            self._waiting.clear()
        if self.dropped:
            _log.warning("Of the %s for %s, %d were given up in all.", self.what, self.name, self.dropped)
