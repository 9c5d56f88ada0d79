"""Shares of a budget never sum up to more than there is; who waits for whom is told from the plan."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import ToolCall, ToolMessage

from nodes.assignments import OWN_SHARE, longest_s, shares_of, standing_of

SHARES = st.lists(st.one_of(st.none(), st.floats(0.001, 1.0), st.just("much"), st.just(-1)), max_size=9)


def task(name: str, **args: Any) -> ToolCall:
    return ToolCall(name="team", args={"task": name, **args}, id=f"call_{name}")


def report(name: str, seconds: float, after: tuple[str, ...] = ()) -> ToolMessage:
    artifact = {
        "latency_ms": seconds * 1000,
        "arguments": {"after": list(after)},
        "handed_on": {"task": name},
    }
    return ToolMessage("ok", tool_call_id=f"call_{name}", artifact=artifact)


@given(SHARES)
def test_shares_leave_the_supervisor_its_own_and_nobody_with_nothing(asked: list[Any]) -> None:
    shares = shares_of([task(str(n), budget_share=share) for n, share in enumerate(asked)])
    assert len(shares) == len(asked)
    assert sum(shares.values()) <= 1 - OWN_SHARE + 1e-9
    assert all(share > 0 for share in shares.values())


@given(st.lists(st.floats(0.001, 1.0), min_size=1, max_size=8))
def test_nobody_gets_more_than_it_asked_for(asked: list[float]) -> None:
    shares = shares_of([task(str(n), budget_share=share) for n, share in enumerate(asked)])
    assert all(shares[f"call_{n}"] <= share + 1e-9 for n, share in enumerate(asked))


def test_a_task_waits_for_all_that_it_comes_after_and_gets_their_reports() -> None:
    plan = [task("a"), task("b"), task("c", after=["a", "b"])]
    half = {"call_a": ToolMessage("found", tool_call_id="call_a")}
    assert not standing_of(plan[2], plan, half).ready
    whole = {**half, "call_b": ToolMessage("too", tool_call_id="call_b")}
    stands = standing_of(plan[2], plan, whole)
    assert (stands.ready, stands.found, stands.refused) == (True, {"a": "found", "b": "too"}, None)


def test_a_task_after_one_that_failed_is_not_begun() -> None:
    plan = [task("a"), task("b", after=["a"])]
    failed = {"call_a": ToolMessage("no", tool_call_id="call_a", status="error")}
    assert standing_of(plan[1], plan, failed).refused == "It comes after ['a'], which failed."


def test_a_longer_circle_is_named_from_each_of_its_tasks() -> None:
    plan = [task("a", after=["c"]), task("b", after=["a"]), task("c", after=["b"]), task("d", after=["a"])]
    assert "a after c after b after a" in str(standing_of(plan[0], plan, {}).refused)
    assert "Tasks wait for each other" in str(standing_of(plan[1], plan, {}).refused)
    assert not standing_of(plan[3], plan, {}).ready


def test_the_time_of_a_plan_is_that_of_its_longest_chain() -> None:
    assert longest_s([report("a", 2), report("b", 3), report("c", 4, ("a",))]) == 6
    assert longest_s([]) == 0
