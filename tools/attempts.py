"""Attempts at a call: each with a time limit, with growing random delays between them."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from tools.contract import Retry, Tool, ToolResult
from tools.failures import Failure, failure_of, passing
from tools.results import as_result

Attempt = Callable[[], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Attempted:
    """What came of a call.

    Attributes:
        attempts: how many were made.
        result: of the attempt that succeeded.
        failure: of the last attempt, where none succeeded.
        error: what it raised.
        unreadable: why the result of a call that was carried out can't be shown.
    """

    attempts: int
    result: ToolResult | None = None
    failure: Failure | None = None
    error: BaseException | None = None
    unreadable: str | None = None


def delay_s(retry: Retry, attempt: int, retry_after_s: float = 0.0) -> float:
    """Return the seconds to wait after attempt number `attempt`, by the law that stands at `Retry`."""
    bound = min(retry.max_s, retry.base_s * 2.0 ** min(attempt - 1, 60))
    return max(retry_after_s, random.uniform(0.0, bound))  # noqa: S311 - spreads load, keeps no secret


async def attempted(tool: Tool, attempt: Attempt, *, time_limit_s: float) -> Attempted:
    """Try a call as often as its contract allows.

    Whatever the tool raises becomes a failure; only cancellation, graph interrupts and a lost thread pass
    through.

    Args:
        tool: its contract.
        attempt: makes one attempt.
        time_limit_s: most seconds of all attempts and delays together.
    """
    now = asyncio.get_running_loop().time
    deadline = now() + time_limit_s
    number = 0
    while True:
        number += 1
        limit = min(tool.timeout_s, deadline - now())
        try:
            async with asyncio.timeout(limit):
                value = await attempt()
        except (Exception, SystemExit, asyncio.CancelledError) as error:
            if (through := passing(error)) is not None:
                raise through from through.__cause__
            if _is_cancelled_from_outside(error):
                raise
            failure = failure_of(tool.name, error, limit)
            pause = delay_s(tool.retry, number, failure.retry_after_s)
            if not failure.transient or number >= tool.retry.max_attempts or now() + pause >= deadline:
                return Attempted(number, failure=failure, error=error)
        else:
            return _with_result(tool, number, value)
        await asyncio.sleep(pause)


def _with_result(tool: Tool, number: int, value: Any) -> Attempted:
    try:
        return Attempted(number, result=as_result(value))
    except ValueError as error:
        return Attempted(number, unreadable=f"{tool.name} was carried out; its result can't be read: {error}")


def _is_cancelled_from_outside(error: BaseException) -> bool:
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and (task is None or bool(task.cancelling()))
