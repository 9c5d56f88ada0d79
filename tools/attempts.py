"""Attempts at a call: each with a time limit, with growing random delays between them."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

from core.client_errors import error_text, named_error
from observability.noting import note_decision
from observability.spans import note_attempt
from tools.breakers import Breakers, failure_kind
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
        tried_again: why the attempts failed that another one followed.
        unreadable: why the result of a call that was carried out can't be shown.
    """

    attempts: int
    result: ToolResult | None = None
    failure: Failure | None = None
    error: BaseException | None = None
    unreadable: str | None = None
    tried_again: tuple[str, ...] = ()


def delay_s(retry: Retry, attempt: int, retry_after_s: float = 0.0) -> float:
    """Return the seconds to wait after attempt number `attempt`, by the law that stands at `Retry`."""
    bound = min(retry.max_s, retry.base_s * 2.0 ** min(attempt - 1, 60))
    return max(retry_after_s, random.uniform(0.0, bound))  # noqa: S311 - spreads load, keeps no secret


async def attempted(tool: Tool, attempt: Attempt, *, time_limit_s: float) -> Attempted:
    """Try a call as often as its contract allows.

    Whatever the tool raises becomes a failure; only cancellation, Ctrl-C, graph interrupts and a lost thread
    pass through.

    Args:
        tool: its contract.
        attempt: makes one attempt.
        time_limit_s: most seconds of all attempts and delays together.
    """
    now, task = asyncio.get_running_loop().time, asyncio.current_task()
    deadline = now() + time_limit_s
    number, why = 0, list[str]()
    while True:
        number += 1
        limit = min(tool.timeout_s, deadline - now())
        try:
            async with asyncio.timeout(limit):
                value = await attempt()
        except BaseException as error:  # libraries have failures of their own that are no Exception
            if (through := passing(error)) is not None:
                raise through from through.__cause__
            if _is_from_outside(error, task):
                raise
            failure = failure_of(tool.name, error, limit)
            pause = delay_s(tool.retry, number, failure.retry_after_s)
            note_attempt(number, type(error).__qualname__)
            if not failure.transient or number >= tool.retry.max_attempts or now() + pause >= deadline:
                return Attempted(number, failure=failure, error=error, tried_again=tuple(why))
            why.append(failure_kind(error))
        else:
            return replace(_with_result(tool, number, value), tried_again=tuple(why))
        await asyncio.sleep(pause)


async def report(done: Attempted, tool: str, breakers: Breakers | None, step: int) -> None:
    """Note what was tried again in the record of decisions, and tell the breaker how the tool did."""
    if done.tried_again:
        why = "; ".join(f"attempt {number} failed: {one}" for number, one in enumerate(done.tried_again, 1))
        note_decision("retry", tool, step=step, reason=why)
    if breakers is None:
        return
    if done.failure is None or not done.failure.transient:
        await breakers.succeeded(f"tool:{tool}", step=step)
    elif done.failure.counts and isinstance(done.error, Exception):
        await breakers.failed(f"tool:{tool}", done.error, step=step)


def _with_result(tool: Tool, number: int, value: Any) -> Attempted:
    try:
        return Attempted(number, result=as_result(value))
    except Exception as error:  # noqa: BLE001 - what it returned may be of any class, with any code in it
        said = error_text(error) if isinstance(error, ValueError) else named_error(error)
        return Attempted(number, unreadable=f"{tool.name} was carried out; its result can't be read: {said}")


def _is_from_outside(error: BaseException, task: asyncio.Task[Any] | None) -> bool:
    """Tell whether it is not the tool that ends here, but the call, its task or the process."""
    if isinstance(error, BaseExceptionGroup):
        return error.subgroup(KeyboardInterrupt) is not None
    if isinstance(error, asyncio.CancelledError):
        return task is None or bool(task.cancelling())
    if isinstance(error, GeneratorExit):  # a coroutine that is thrown away is not run by its task
        return not _runs(task)
    return isinstance(error, KeyboardInterrupt)


def _runs(task: asyncio.Task[Any] | None) -> bool:
    try:
        return asyncio.current_task() is task
    except RuntimeError:  # no loop is running
        return False
