"""Waits for a thread that another process is still running."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_random

from core.errors import ThreadBusyError

PATIENCE_S: Final = 60.0
"""How long a thread is waited for that another approver's process is still running."""
Result = TypeVar("Result")


async def once_free(work: Callable[[], Awaitable[Result]]) -> Result:
    """Do what needs a thread, as soon as nobody else is running it.

    Raises:
        ThreadBusyError: somebody else has been running it for `PATIENCE_S`.
    """
    async for attempt in AsyncRetrying(
        retry=retry_if_exception_type(ThreadBusyError),
        stop=stop_after_delay(PATIENCE_S),
        wait=wait_random(0.05, 0.5),
        reraise=True,
    ):
        with attempt:
            return await work()
    message = "tenacity ended without a result and without an error"
    raise AssertionError(message)
