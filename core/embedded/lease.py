"""File locks for asynchronous code: waiting for one leaves the event loop free and can be cancelled.

"I use this" is a shared lock; "nobody uses it any more" is an exclusive one that succeeds. The kernel drops
a lock when its holder dies, so whether a lock file exists says nothing, and none is ever removed.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from core.embedded import flock

_POLL_S = 0.05


@asynccontextmanager
async def locked(
    path: Path, *, shared: bool = False, waiting: Callable[[], None] | None = None
) -> AsyncGenerator[None]:
    """Hold a lock for the length of the block.

    Args:
        path: the lock file; made (0600, its folder 0700) when missing.
        shared: hold it together with all other shared holders.
        waiting: called once when the lock isn't free at once.
    """
    descriptor = await _acquire(path, shared=shared, waiting=waiting)
    try:
        yield
    finally:
        os.close(descriptor)


async def _acquire(path: Path, *, shared: bool, waiting: Callable[[], None] | None) -> int:
    told = False
    while (descriptor := await _try_in_thread(path, shared=shared)) is None:
        if waiting is not None and not told:
            told = True
            waiting()
        await asyncio.sleep(_POLL_S)
    return descriptor


async def _try_in_thread(path: Path, *, shared: bool) -> int | None:
    """Try in a thread; a lock taken while the caller is being cancelled is given back."""
    attempt = asyncio.ensure_future(asyncio.to_thread(_try, path, shared=shared))
    try:
        return await asyncio.shield(attempt)
    except asyncio.CancelledError:
        attempt.add_done_callback(_give_back)
        raise


def _try(path: Path, *, shared: bool) -> int | None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return flock.locked(path, shared=shared)


def _give_back(attempt: "asyncio.Future[int | None]") -> None:
    if attempt.cancelled() or attempt.exception() is not None:
        return
    descriptor = attempt.result()
    if descriptor is not None:
        os.close(descriptor)
