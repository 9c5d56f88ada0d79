"""A server's regular expressions are never run here; what is validated without them refuses nothing right."""

import re
from typing import Any

import pytest
from pydantic import ValidationError

from tools.mcp.arguments import arguments_by_schema

NEVER_ENDS = "^(a+)+$"
TEXT = {"type": "string"}
A, B = {"type": "string", "pattern": "^a"}, {"type": "string", "pattern": "^b"}
BY_NAME = {"type": "object", "patternProperties": {NEVER_ENDS: TEXT}, "additionalProperties": False}


def taken(properties: dict[str, Any], given: dict[str, Any], **more: Any) -> bool:
    model = arguments_by_schema({"type": "object", "properties": properties, **more}, "t")
    try:
        model.model_validate(given)
    except ValidationError:
        return False
    return True


def test_no_pattern_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def search(pattern: Any, *_: Any) -> Any:
        raise AssertionError(f"{pattern} was run")

    monkeypatch.setattr(re, "search", search)
    assert taken({"v": {"type": "string", "pattern": NEVER_ENDS}}, {"v": "a" * 60 + "!"})
    assert taken({"v": BY_NAME}, {"v": {"a" * 60 + "!": "x"}})
    assert taken({"v": {"type": "object", "propertyNames": {"pattern": NEVER_ENDS}}}, {"v": {"a" * 60: 1}})


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"oneOf": [A, B]}, "abba"),
        ({"oneOf": [A, B], "anyOf": [TEXT]}, "abba"),
        ({"not": A}, "bee"),
        ({"not": {"$ref": "#/$defs/a"}}, "bee"),
        ({"contains": A, "maxContains": 1}, ["bee", "cat"]),
        ({"if": A, "then": {"maxLength": 1}, "else": {"minLength": 3}}, "bee"),
        ({"allOf": [BY_NAME, {"properties": {"x": TEXT}}]}, {"aa": "1", "x": "2"}),
        ({"$ref": "#/properties/w/patternProperties/%5Ea"}, "abba"),
    ],
)
def test_what_turns_on_a_pattern_is_left_to_the_server(schema: Any, value: Any) -> None:
    others = {"w": {"patternProperties": {"^a": TEXT}}}
    assert taken({"v": schema, **others}, {"v": value}, **{"$defs": {"a": A}})


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string", "maxLength": 2, "pattern": "^a"}, "abc"),
        ({"oneOf": [A, {"type": "integer"}]}, 1.5),
        ({"type": "object", "properties": {"pattern": A}}, {"pattern": 1}),
        ({"type": "object", "properties": {"x": A}}, {"y": "abba"}),
        ({"not": {"type": "string"}}, "abc"),
    ],
)
def test_what_a_schema_says_beside_its_patterns_still_counts(schema: Any, value: Any) -> None:
    assert not taken({"v": schema}, {"v": value})
