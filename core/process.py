"""What a process owns: the database, the embedded model, the embeddings. Each opened once, on first use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

from core.database import Database, opened_database
from core.embedding import opened_embeddings
from core.errors import ConfigurationError
from core.progress import Progress
from core.settings import Settings, load_settings

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings

Owned = TypeVar("Owned")


class Process:
    """The resources of one event loop.

    Every method opens its resource at the first call and returns the same one afterwards; callers at the
    same moment wait for one opening. A failed opening is tried again by the next caller.
    """

    def __init__(self, settings: Settings, *, progress: Progress | None = None) -> None:
        self.settings = settings
        self.progress = progress
        self._stack = AsyncExitStack()
        self._opening: dict[str, asyncio.Task[Any]] = {}

    async def database(self) -> Database:
        """Return the database, migrated.

        Raises:
            DatabaseError: it can't be reached or used.
        """
        return await self.once("database", lambda: opened_database(self.settings))

    async def embeddings(self) -> Embeddings:
        """Return the embedding model.

        Raises:
            AssetError: the embedded one can't be had.
        """
        return await self.once("embeddings", lambda: opened_embeddings(self.settings, self.progress))

    async def once(self, name: str, opening: Callable[[], AbstractAsyncContextManager[Owned]]) -> Owned:
        """Return what `opening` yields, entered once under `name` and closed with the process."""
        return await asyncio.shield(self.begin(name, opening))

    def begin(
        self, name: str, opening: Callable[[], AbstractAsyncContextManager[Owned]]
    ) -> asyncio.Task[Owned]:
        """Begin to open what `once` will return, without waiting for it or failing with it."""
        task = self._opening.get(name)
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            task = asyncio.create_task(self._stack.enter_async_context(opening()), name=f"open {name}")
            task.add_done_callback(_looked_at)
            self._opening[name] = task
        return task

    def forget(self, resource: object) -> None:
        """Open `resource` anew for the next who asks, since it has stopped working.

        A server that was killed has another address when it is started again. The old one is closed with
        the process; a resource that is not of this process is left alone.
        """
        for name, task in list(self._opening.items()):
            if task.done() and not task.cancelled() and not task.exception() and task.result() is resource:
                del self._opening[name]

    async def close(self) -> None:
        """Close everything that was opened, the last one first.

        What finishes its work meanwhile has what was opened before, and may open more.
        """
        for _ in range(2):
            opening = [task for task in self._opening.values() if not task.done()]
            for task in opening:
                task.cancel()
            if opening:
                await asyncio.wait(opening)
            await self._stack.aclose()
        self._opening.clear()


def _looked_at(task: asyncio.Task[Any]) -> None:
    """Take note of a failure, which whoever needs the resource gets to see when they ask for it."""
    if not task.cancelled():
        task.exception()


_process: WeakKeyDictionary[asyncio.AbstractEventLoop, Process] = WeakKeyDictionary()
"""The process of each running event loop."""
_keepers: WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[asyncio.Task[None], asyncio.Future[None]]] = (
    WeakKeyDictionary()
)
"""The task that keeps a process open that nobody opened explicitly, and whether it is ready."""


@asynccontextmanager
async def opened_process(
    settings: Settings | None = None, *, progress: Progress | None = None
) -> AsyncGenerator[Process]:
    """Own the resources of the running event loop until the block ends.

    Args:
        settings: unset, they are read from the environment.
        progress: told how far the fetch of a model file is.
    """
    process = Process(settings or await asyncio.to_thread(load_settings), progress=progress)
    loop = asyncio.get_running_loop()
    outer = _process.get(loop)
    _process[loop] = process
    try:
        yield process
    finally:
        try:
            await process.close()
        finally:
            if outer is None:
                _process.pop(loop, None)
            else:
                _process[loop] = outer


async def current_process() -> Process:
    """Return the process of the running event loop.

    Outside of `opened_process` one is made from the environment. It is closed when `asyncio.run` cancels the
    tasks that are left, so callers of a compiled graph have nothing to close.
    """
    loop = asyncio.get_running_loop()
    if loop not in _process:
        if loop not in _keepers:
            ready: asyncio.Future[None] = loop.create_future()
            _keepers[loop] = (asyncio.create_task(_keep_until_cancelled(ready), name="keep process"), ready)
        await asyncio.shield(_keepers[loop][1])
    return _process[loop]


async def _keep_until_cancelled(ready: asyncio.Future[None]) -> None:
    try:
        async with opened_process():
            ready.set_result(None)
            await asyncio.Event().wait()
    except ConfigurationError as error:
        ready.set_exception(error)
    finally:
        _keepers.pop(asyncio.get_running_loop(), None)
