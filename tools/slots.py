"""Slots: how many calls of a tool run at the same moment. A thread keeps its slot until it really ends."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import suppress
from contextvars import Context, copy_context
from functools import partial
from threading import Thread
from time import monotonic
from typing import Any

_SHORTEST_S = 0.001


class Slot:
    """The place of one call among those of its tool that run at the same moment.

    The call lends the place to each thread that it starts, and has it back when the thread ends. A thread
    that outlives the call frees the place itself.

    Args:
        free: counts the places that are left.
    """

    def __init__(self, free: asyncio.Semaphore) -> None:
        self._free = free
        self._held = self._waiting = self._left = False

    @property
    def at_once(self) -> bool:
        """Whether the place can be taken without waiting."""
        return self._held or not self._free.locked()

    async def take(self, time_limit_s: float) -> float | None:
        """Wait for a place; return the seconds that are left of the limit, None where there was no place."""
        begun = monotonic()
        if not self._held:
            try:
                async with asyncio.timeout(time_limit_s):
                    await self._free.acquire()
            except TimeoutError:
                return None
            self._held = True
        return max(_SHORTEST_S, time_limit_s - (monotonic() - begun))

    def leave(self) -> None:
        """End the call: free the place, or leave it to the thread that still has it."""
        self._left = True
        if self._held:
            self._held = False
            self._free.release()

    def holding(self, run: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        """Return what runs a tool in this place."""
        return partial(run.within, self) if isinstance(run, Threaded) else run

    async def lend(self, work: Future[Any]) -> None:
        """Give the place to a thread; while an earlier thread of the call has it, wait for another one."""
        if not self._held:
            self._waiting = True
            try:
                await self._free.acquire()
            finally:
                self._waiting = False
        self._held = False
        loop = asyncio.get_running_loop()

        def ended(_: Future[Any]) -> None:
            with suppress(RuntimeError):  # the loop is closed, and its slots are gone with it
                loop.call_soon_threadsafe(self._returned)

        work.add_done_callback(ended)

    def _returned(self) -> None:
        if self._held or self._waiting or self._left:
            self._free.release()
        else:
            self._held = True


class Threaded:
    """A synchronous function as something to await: it runs in a thread of its own, which nothing can stop.

    The threads of asyncio's executor are few, and the graph and the checkpointer need them too. A thread of
    its own that hangs holds up no other call, and as a daemon not the end of the process.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._name = f"tool {getattr(function, '__name__', type(function).__name__)}"

    async def __call__(self, **arguments: Any) -> Any:
        """Run the function."""
        return await self.within(None, **arguments)

    async def within(self, slot: Slot | None, /, **arguments: Any) -> Any:
        """Run the function, in the place of a call."""
        loop = asyncio.get_running_loop()
        work, answer = Future[Any](), loop.create_future()
        if slot is not None:
            await slot.lend(work)

        def ended(done: Future[Any]) -> None:
            with suppress(RuntimeError):  # the loop is closed, and nobody waits any more
                loop.call_soon_threadsafe(_hand_over, done, answer)

        work.add_done_callback(ended)
        run = partial(self._work, work, copy_context(), arguments)
        try:
            Thread(target=run, name=self._name, daemon=True).start()
        except RuntimeError as error:  # the system has no more threads
            work.set_exception(error)
        return await answer

    def _work(self, work: Future[Any], context: Context, arguments: dict[str, Any]) -> None:
        try:
            result = context.run(self._function, **arguments)
        except (StopIteration, GeneratorExit) as error:  # they have another meaning to whoever awaits
            stopped = RuntimeError(f"the tool raised {type(error).__name__}")
            stopped.__cause__ = error
            work.set_exception(stopped)
        except BaseException as error:  # noqa: BLE001 - whoever awaits the thread gets it
            work.set_exception(error)
        else:
            work.set_result(result)


def _hand_over(done: Future[Any], answer: asyncio.Future[Any]) -> None:
    """Give what a thread ended with to whoever awaits it, if there is anybody left."""
    if answer.done():
        return
    if (error := done.exception()) is not None:
        answer.set_exception(error)
    else:
        answer.set_result(done.result())
