"""Where finished spans go: taken in at once, delivered beside the runs, as many as there is room for."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final, Generic, TypeVar

ROOM: Final = 4096
"""Most things that wait for one outlet."""
_BATCH: Final = 512
_EVERY_S: Final = 1.0
_CLOSING_S: Final = 3.0
"""How long the end of a process waits for what is left to be delivered."""
_log = logging.getLogger(__name__)

Thing = TypeVar("Thing")


class Outlet(Generic[Thing]):
    """A queue before one place that things such as spans are delivered to.

    Attributes:
        name: of the place, for people.
        what: the things, for people.
        dropped: things that were given up, because there was no room or their delivery failed.
        delivered: things that have arrived.
    """

    def __init__(
        self,
        name: str,
        deliver: Callable[[Sequence[Thing]], Awaitable[None]],
        *,
        what: str = "spans",
        room: int = ROOM,
    ) -> None:
        """Make one; nothing is delivered before it is opened.

        Args:
            name: of the place.
            deliver: delivers a batch, or raises.
            what: the things, for people.
            room: most things that wait.
        """
        self.name, self.what = name, what
        self.dropped = 0
        self.delivered = 0
        self._deliver = deliver
        self._room = room
        self._waiting: deque[Thing] = deque()
        self._some = asyncio.Event()
        self._many = asyncio.Event()

    def put(self, thing: Thing) -> None:
        """Take a thing in; where there is no room, the oldest one is given up."""
        if len(self._waiting) >= self._room:
            self._waiting.popleft()
            self._give_up(1, "there is no room")
        self._waiting.append(thing)
        self._some.set()
        if len(self._waiting) >= _BATCH:
            self._many.set()

    async def flush(self) -> None:
        """Deliver what is there. What can't be delivered is given up, counted and logged."""
        self._some.clear()
        self._many.clear()
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
            try:
                await self._deliver(batch)
            except Exception as error:  # noqa: BLE001 - whatever a place refuses with, runs go on
                self._give_up(len(batch), f"{type(error).__name__}: {error}")
            except BaseException:
                self._give_up(len(batch), "the process ended")
                raise
            else:
                self.delivered += len(batch)

    def _give_up(self, many: int, why: str) -> None:
        if not self.dropped or why != "there is no room":
            _log.warning("%d %s for %s were given up: %s.", many, self.what, self.name, why.rstrip("."))
        self.dropped += many

    async def _keep_delivering(self) -> None:
        while True:
            await self._some.wait()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._many.wait(), _EVERY_S)
            await self.flush()

    @asynccontextmanager
    async def opened(self) -> AsyncGenerator[Outlet[Thing]]:
        """Deliver while the block runs, and for some seconds at its end what is left."""
        delivering = asyncio.create_task(self._keep_delivering(), name=f"deliver {self.what} to {self.name}")
        try:
            yield self
        finally:
            delivering.cancel()
            await asyncio.wait([delivering])
            try:
                async with asyncio.timeout(_CLOSING_S):
                    await self.flush()
            except TimeoutError:
                self._give_up(len(self._waiting), f"the process ended after {_CLOSING_S:g} s of trying")
                self._waiting.clear()
