import json
from typing import Any, cast

import pytest
from pydantic import BaseModel

from core.protocols import Example
from nodes.assignments import Delegate, Task
from nodes.plan_examples import plan_prefix
from nodes.plan_schema import plan_schema
from tools.calculator import arithmetic
from tools.contract import contract

EXAMPLES = (
    Example("R1?", {"task": "one", "goal": "R1?"}),
    Example("R2?", {"task": "two", "goal": "R2?", "inputs": "x"}),
)


class Address(BaseModel):
    street: str


def walk(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, list):
        return [found for item in value for found in walk(item)]
    if not isinstance(value, dict):
        return []
    return [value, *(found for item in value.values() for found in walk(item))]


def test_there_is_a_branch_for_each_tool_and_one_for_the_answer() -> None:
    branches = plan_schema([arithmetic()])["properties"]["call"]["anyOf"]
    assert [branch["properties"]["tool"]["const"] for branch in branches] == ["calculator", "answer"]
    assert branches[0]["required"] == ["tool", "expression"]


def test_every_string_and_list_is_bounded_and_every_reference_leads_somewhere() -> None:
    def ship(to: Address, notes: list[str], kind: str = "parcel") -> str:
        """Ship something."""
        return f"{to}{notes}{kind}"

    schema = plan_schema([contract(ship), arithmetic()])
    for part in walk(schema):
        if part.get("type") == "string":
            assert {"maxLength", "pattern"} & part.keys()
        if part.get("type") == "array":
            assert "maxItems" in part
        if "$ref" in part:
            assert part["$ref"].removeprefix("#/$defs/") in schema["$defs"]
    assert '"ship.Address"' in json.dumps(schema)


def test_names_that_the_plan_itself_uses_are_refused() -> None:
    def answer() -> str:
        """Answer."""
        return ""

    with pytest.raises(ValueError, match="taken"):
        plan_schema([contract(answer)])


def test_a_plan_of_several_calls_offers_what_is_required_and_what_the_examples_use() -> None:
    schema = plan_schema([Delegate("rules", "Knows rules.", cast("Any", None), Task, EXAMPLES)], several=True)
    calls = schema["properties"]["calls"]
    assert (schema["required"], calls["minItems"], calls["maxItems"]) == (["calls"], 1, 3)
    assert list(calls["items"]["anyOf"][0]["properties"]) == ["tool", "task", "goal", "inputs"]


def test_examples_of_several_calls_hold_one_message_with_two_requests() -> None:
    delegates = [
        Delegate(name, "Knows it.", cast("Any", None), Task, EXAMPLES if name != "c" else ())
        for name in "abc"
    ]
    _, *turns = plan_prefix(delegates, several=True)
    pairs = [
        (asked.text, [call["tool"] for call in json.loads(shot.text)["calls"]])
        for asked, shot in zip(turns[::2], turns[1::2], strict=True)
    ]
    assert ("R2? And also: R2?", ["a", "b"]) in pairs
    assert ("R1?", ["a"]) in pairs
    assert ("Hi there!", ["answer"]) in pairs
