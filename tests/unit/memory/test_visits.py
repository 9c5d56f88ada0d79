"""Agents of one place that are asked the very same have names of their own, in the order they came."""

from typing import Any

from memory.visits import Visits

INVOCATION, ANOTHER = object(), object()


def named(visits: Visits, namespace: str, **other: Any) -> str:
    asked = {"place": "t|pay", "namespace": namespace, "turn_id": "q", **other}
    return visits.named(asked.pop("thread_id", "t"), asked.pop("invocation", INVOCATION), **asked)


def test_the_second_agent_of_a_place_has_a_name_of_its_own_and_keeps_it() -> None:
    visits = Visits()
    assert [named(visits, one) for one in ("a", "b", "a", "b", "c")] == [
        "t|pay",
        "t|pay#2",
        "t|pay",
        "t|pay#2",
        "t|pay#3",
    ]


def test_another_request_place_or_invocation_is_counted_from_the_start() -> None:
    visits = Visits()
    named(visits, "a")
    assert named(visits, "b", turn_id="other") == "t|pay"
    assert named(visits, "b", place="t|ship") == "t|ship"
    assert named(visits, "b", thread_id="other") == "t|pay"
    assert named(visits, "b", invocation=ANOTHER) == "t|pay"


def test_threads_long_gone_are_forgotten() -> None:
    visits = Visits()
    named(visits, "a")
    for number in range(1000):
        named(visits, "a", thread_id=f"t{number}")
    assert named(visits, "b") == "t|pay"
