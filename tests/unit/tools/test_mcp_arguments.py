"""Arguments of MCP tools are validated by their own JSON schema, strictly at every depth."""

from typing import Any

import pytest
from pydantic import ValidationError

from tools.mcp.arguments import arguments_by_schema

TEXT = {"type": "string"}
POINT = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}
NAMED: dict[str, Any] = {"$ref": "#/$defs/node"}
NODE = {"node": {"type": "object", "properties": {"name": TEXT, "next": NAMED}, "required": ["name"]}}
DRAFTS = ("https://json-schema.org/draft/2020-12/schema", "http://json-schema.org/draft-07/schema#")


def complaints(properties: dict[str, Any], given: Any, **more: Any) -> list[tuple[str, str]]:
    """Return where a call is not valid and why; nothing for one that is handed on as it is."""
    model = arguments_by_schema({"type": "object", "properties": properties, **more}, "t")
    try:
        assert model.model_validate(given).model_dump() == {"arguments": given}
    except ValidationError as error:
        return [(".".join(map(str, item["loc"])), item["msg"]) for item in error.errors()]
    return []


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "integer", "minimum": 1, "maximum": 3}, 2),
        ({"type": ["string", "null"]}, None),
        ({"enum": ["a", 1, None]}, None),
        ({"type": "array", "items": POINT, "minItems": 1}, [{"x": 1}]),
        ({"anyOf": [POINT, TEXT]}, {"x": 1}),
        ({"type": "object"}, {"what": {"ever": 1}}),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, {"a": 1}),
        ({**POINT, "additionalProperties": True}, {"x": 1, "y": 2}),
        ({"allOf": [POINT, {"properties": {"y": TEXT}}]}, {"x": 1, "y": "a"}),
        (
            {"properties": {"kind": TEXT}, "oneOf": [POINT, {"required": ["kind"], "not": POINT}]},
            {"x": 1, "kind": "a"},
        ),
        (NAMED, {"name": "a", "next": {"name": "b"}}),
        ({"type": "string", "format": "date-time"}, "2026-01-31T10:00:00.5Z"),
        ({"type": "string", "format": "made-up"}, "x"),
        ({"type": "string", "pattern": r"^\p{L}+$"}, "1"),
        ({}, [1, "a", {"b": None}]),
    ],
)
@pytest.mark.parametrize("draft", DRAFTS)
def test_what_the_schema_allows_reaches_the_server_unchanged(schema: Any, value: Any, draft: str) -> None:
    more: dict[str, Any] = {"$schema": draft, "$defs": NODE}
    assert complaints({"v": schema}, {"v": value}, **more) == []


@pytest.mark.parametrize(
    ("schema", "value", "where"),
    [
        ({"type": "integer"}, True, "v"),
        ({"type": "integer"}, "1", "v"),
        ({"type": "integer", "exclusiveMinimum": 0}, 0, "v"),
        ({"type": "number", "multipleOf": 5}, 3, "v"),
        ({"type": "string", "maxLength": 2, "pattern": "^a"}, "abc", "v"),
        ({"enum": ["a", "b"]}, "c", "v"),
        ({"const": 3}, 4, "v"),
        ({"type": "array", "items": POINT}, [{"x": 1}, {"x": "a"}], "v.1.x"),
        ({"type": "array", "items": POINT}, [{"x": 1, "y": 2}], "v.0.y"),
        ({"type": "array", "uniqueItems": True}, [1, 1], "v"),
        (POINT, {}, "v.x"),
        (POINT, {"x": 1, "y": 2}, "v.y"),
        ({"anyOf": [POINT, {"type": "null"}]}, {"x": 1, "y": 2}, "v"),
        ({"allOf": [POINT, {"properties": {"y": TEXT}}]}, {"x": 1, "z": "a"}, "v.z"),
        (NAMED, {"name": "a", "next": {"name": "b", "nxt": None}}, "v.next.nxt"),
        ({"type": "object", "additionalProperties": POINT}, {"a": {"x": 1, "y": 1}}, "v.a.y"),
        ({"type": "string", "format": "date-time"}, "2026-02-31T10:00:00Z", "v"),
        ({"type": "string", "format": "email"}, "nobody", "v"),
        ({"type": "string", "format": "uuid"}, "12", "v"),
        ({"type": "string", "format": "uri"}, "example", "v"),
        ({"type": "string", "format": "ipv4"}, "1.2.3.256", "v"),
        ({"type": "string", "format": "duration"}, "P", "v"),
        (False, 1, ""),
    ],
)
@pytest.mark.parametrize("draft", DRAFTS)
def test_what_the_schema_does_not_allow_is_refused_by_field(
    schema: Any, value: Any, where: str, draft: str
) -> None:
    more: dict[str, Any] = {"$schema": draft, "$defs": NODE}
    assert where in [place for place, _ in complaints({"v": schema}, {"v": value}, **more)]


def test_messages_are_those_of_native_tools_where_there_are_such() -> None:
    assert complaints({"a": TEXT, "b": TEXT}, {"c": 1}, required=["a", "b"]) == [
        ("a", "Field required"),
        ("b", "Field required"),
        ("c", "Extra inputs are not permitted"),
    ]
    assert complaints({"a": TEXT}, {"a": 1}) == [("a", "1 is not of type 'string'")]


def test_a_message_about_a_union_says_what_its_alternatives_miss() -> None:
    ((_, message),) = complaints({"v": {"anyOf": [POINT, {"type": "null"}]}}, {"v": {"x": "a"}})
    assert message.endswith("x: 'a' is not of type 'integer'")


@pytest.mark.parametrize("given", [None, "x", [1], 3])
def test_arguments_that_are_no_object_are_refused(given: Any) -> None:
    assert len(complaints({}, given)) == 1


@pytest.mark.parametrize("name", ["class", "_id", "a-b", "model_config", "schema", "arguments", "self", "$x"])
def test_a_property_may_have_any_name(name: str) -> None:
    assert complaints({name: TEXT}, {name: "x"}, required=[name]) == []


def test_the_model_is_shown_the_schema_as_the_server_wrote_it() -> None:
    schema: dict[str, Any] = {"type": "object", "properties": {"v": NAMED}, "$defs": NODE}
    assert arguments_by_schema(schema, "t").model_json_schema() == schema
    assert arguments_by_schema({"type": "object"}, "t").model_json_schema() == {
        "type": "object",
        "properties": {},
    }


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"type": "string"}, "expected 'object'"),
        ({"properties": {"a": {"type": "text"}}}, r"not valid at \$\.properties\.a\.type"),
        ({"properties": {"a": {"$ref": "#/$defs/none"}}}, "refers to '#/\\$defs/none'"),
        ({"properties": {"a": {"$ref": "https://example.org/x.json"}}}, "refers to 'https://example.org"),
        ({"description": "x" * 200_000}, "200"),
    ],
)
def test_a_schema_that_can_not_be_validated_by_is_refused(schema: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        arguments_by_schema(schema, "t")
