"""The law of retries, on a clock that jumps: nothing here waits."""

import asyncio
import math
import random
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import ToolError, TransientError
from tools.attempts import Attempted, attempted, delay_s
from tools.contract import Effect, Retry, Tool, contract
from tools.injection import Transaction

EXAMPLES = settings(max_examples=150, deadline=None, derandomize=True, database=None)
TINY = 1e-6
"""Seconds; what an event loop rounds."""
DRAWN = 4000
ONE_IN_A_THOUSAND = 1.95
"""The Kolmogorov-Smirnov statistic times the square root of the sample is over this that rarely."""
retries = st.builds(
    lambda attempts, base, more: Retry(attempts, base, base + more),
    st.integers(1, 6),
    st.floats(0, 5),
    st.floats(0, 20),
)


@pytest.fixture(autouse=True)
def same_draws() -> Iterator[None]:
    state = random.getstate()
    random.seed(20261122)
    yield
    random.setstate(state)


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop that does not wait: where nothing is left to do, its clock jumps."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        selector: Any = self._selector  # pyright: ignore[reportAttributeAccessIssue]
        select = selector.select

        def jump(timeout: float | None) -> Any:
            self.now += timeout or 0.0
            return select(0)

        selector.select = jump

    def time(self) -> float:
        return self.now


@dataclass(frozen=True)
class Tried:
    """What came of a call, when its attempts were begun, and when it was over."""

    done: Attempted
    begun_s: list[float]
    over_s: float


def tried(tool: Tool, attempt: Callable[[], Awaitable[Any]], *, time_limit_s: float = 1e6) -> Tried:
    begun: list[float] = []

    async def one() -> Any:
        begun.append(asyncio.get_running_loop().time())
        return await attempt()

    async def all_of_them() -> Tried:
        done = await attempted(tool, one, time_limit_s=time_limit_s)
        return Tried(done, begun, asyncio.get_running_loop().time())

    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        return runner.run(all_of_them())


def tool_with(effect: Effect = "read", retry: Retry | None = None, timeout_s: float = 1e6) -> Tool:
    async def work() -> str:
        """Work."""
        return "done"

    async def write(transaction: Transaction) -> str:
        """Write."""
        del transaction
        return "done"

    function = write if effect == "transactional" else work
    if retry is None:
        return contract(function, effect=effect, timeout_s=timeout_s)
    return contract(function, effect=effect, timeout_s=timeout_s, retry=retry)


async def lost() -> None:
    raise TransientError("lost")


def told_to_wait(retry_after: str, status: int = 429) -> Callable[[], Awaitable[None]]:
    async def refused() -> None:
        request = httpx.Request("POST", "http://127.0.0.1/")
        answer = httpx.Response(status, headers={"Retry-After": retry_after}, request=request)
        answer.raise_for_status()

    return refused


def bound_s(retry: Retry, attempt: int) -> float:
    return min(retry.max_s, retry.base_s * 2 ** (attempt - 1))


@pytest.mark.parametrize("attempt", [1, 2, 3, 6, 7, 2000])
def test_delays_are_spread_evenly_up_to_their_bound(attempt: int) -> None:
    retry = Retry(base_s=0.2, max_s=5.0)
    bound = {1: 0.2, 2: 0.4, 3: 0.8, 6: 5.0, 7: 5.0, 2000: 5.0}[attempt]
    drawn = sorted(delay_s(retry, attempt) / bound for _ in range(DRAWN))
    assert drawn[0] >= 0
    assert drawn[-1] <= 1
    farthest = max(max((i + 1) / DRAWN - x, x - i / DRAWN) for i, x in enumerate(drawn))
    assert farthest * math.sqrt(DRAWN) < ONE_IN_A_THOUSAND


@EXAMPLES
@given(retry=retries, attempt=st.integers(1, 5000), retry_after_s=st.floats(0, 100))
def test_a_delay_is_within_its_bound_or_what_the_service_asks_for(
    retry: Retry, attempt: int, retry_after_s: float
) -> None:
    bound = min(retry.max_s, retry.base_s * 2.0 ** min(attempt - 1, 1000))
    assert 0 <= delay_s(retry, attempt) <= bound
    assert retry_after_s <= delay_s(retry, attempt, retry_after_s) <= max(retry_after_s, bound)


@pytest.mark.parametrize(
    ("effect", "attempts"), [("read", 3), ("idempotent", 3), ("transactional", 3), ("unsafe", 1)]
)
def test_a_passing_failure_is_tried_again_as_the_effect_allows(effect: Effect, attempts: int) -> None:
    found = tried(tool_with(effect), lost)
    assert (found.done.attempts, len(found.begun_s)) == (attempts, attempts)
    assert found.done.failure is not None
    assert found.done.failure.transient


def test_a_failure_that_will_not_pass_is_not_tried_again() -> None:
    async def refused() -> None:
        raise ToolError("no such order")

    assert tried(tool_with("read"), refused).done.attempts == 1
    assert tried(tool_with("read"), told_to_wait("1", status=404)).done.attempts == 1


def test_the_first_success_ends_the_attempts() -> None:
    failures = iter([TransientError("1"), TransientError("2")])

    async def at_last() -> str:
        for failure in failures:
            raise failure
        return "done"

    found = tried(tool_with("read", Retry(max_attempts=9)), at_last)
    assert found.done.result is not None
    assert (found.done.attempts, found.done.result.text) == (3, "done")


@EXAMPLES
@given(retry=retries)
def test_pauses_follow_the_declared_law(retry: Retry) -> None:
    found = tried(tool_with("read", retry), lost)
    assert len(found.begun_s) == retry.max_attempts
    for number, (one, following) in enumerate(pairwise(found.begun_s), start=1):
        assert 0 <= following - one <= bound_s(retry, number) + TINY


@EXAMPLES
@given(retry=retries, wait_s=st.integers(0, 60), status=st.sampled_from([429, 503]))
def test_a_service_is_left_alone_for_as_long_as_it_asks(retry: Retry, wait_s: int, status: int) -> None:
    found = tried(tool_with("idempotent", retry), told_to_wait(str(wait_s), status))
    assert len(found.begun_s) == retry.max_attempts
    for number, (one, following) in enumerate(pairwise(found.begun_s), start=1):
        assert wait_s - TINY <= following - one <= max(wait_s, bound_s(retry, number)) + TINY


@EXAMPLES
@given(
    retry=retries,
    takes_s=st.floats(0, 10),
    timeout_s=st.floats(0.1, 10),
    time_limit_s=st.floats(0.1, 30),
    retry_after=st.sampled_from(["", "0", "2", "1000"]),
)
def test_nothing_goes_on_past_the_deadline(
    retry: Retry, takes_s: float, timeout_s: float, time_limit_s: float, retry_after: str
) -> None:
    async def slow() -> None:
        await asyncio.sleep(takes_s)
        await told_to_wait(retry_after)()

    found = tried(tool_with("read", retry, timeout_s), slow, time_limit_s=time_limit_s)
    assert found.over_s <= time_limit_s + TINY
    assert all(at < time_limit_s + TINY for at in found.begun_s)
    assert 1 <= found.done.attempts <= retry.max_attempts


def test_a_wait_past_the_deadline_is_not_begun() -> None:
    found = tried(tool_with("read"), told_to_wait("100"), time_limit_s=99)
    assert (found.done.attempts, found.over_s) == (1, 0.0)


def test_each_attempt_has_the_time_limit_of_the_tool_and_what_is_left() -> None:
    async def hangs() -> None:
        await asyncio.Event().wait()

    found = tried(tool_with("read", Retry(3, 0, 0), timeout_s=10), hangs, time_limit_s=25)
    assert [round(at, 3) for at in (*found.begun_s, found.over_s)] == [0, 10, 20, 25]
    assert found.done.failure is not None
    assert found.done.failure.timed_out
