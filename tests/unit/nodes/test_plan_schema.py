import json
from typing import Any

import pytest
from pydantic import BaseModel

from nodes.plan_schema import plan_schema
from tools.calculator import arithmetic
from tools.contract import contract


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
