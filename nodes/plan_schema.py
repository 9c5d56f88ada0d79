"""The JSON schema of a plan: one branch for each tool's arguments, one for answering without a tool."""

from collections.abc import Sequence
from typing import Any

from core.protocols import ToolSpec

ANSWER = "answer"
MAX_STRING_CHARS = 300
MAX_ITEMS = 16
MAX_CALLS = 3


def plan_schema(tools: Sequence[ToolSpec], *, several: bool = False) -> dict[str, Any]:
    """Return the schema of `{"call": {"tool": NAME, ...arguments}}` over `tools` and `answer`.

    Every string and list is bounded: a small model that may write on without end does.

    Args:
        tools: to choose from.
        several: the schema is that of `{"calls": [...]}`.

    Raises:
        ValueError: a tool is named `answer`, or has an argument named `tool`.
    """
    branches: list[dict[str, Any]] = []
    definitions: dict[str, Any] = {}
    for tool in tools:
        schema = tool.arguments_schema()
        properties = {name: schema["properties"][name] for name in offered(tool, several=several)}
        if tool.name == ANSWER or "tool" in properties:
            raise ValueError(
                f"tool {tool.name!r}: the name {ANSWER!r} and an argument named 'tool' are taken"
            )
        definitions.update({f"{tool.name}.{key}": value for key, value in schema.get("$defs", {}).items()})
        branches.append(_branch(tool.name, properties, schema.get("required", [])))
    branches.append(_branch(ANSWER, {}, []))
    call: dict[str, Any] = {"anyOf": branches}
    calls = {"type": "array", "items": call, "minItems": 1, "maxItems": MAX_CALLS}
    whole: dict[str, Any] = {
        "type": "object",
        "properties": {"calls": calls} if several else {"call": call},
        "required": ["calls"] if several else ["call"],
        "additionalProperties": False,
    }
    if definitions:
        whole["$defs"] = {
            key: bounded_schema(value, prefix=f"{key.split('.')[0]}.") for key, value in definitions.items()
        }
    return whole


def offered(tool: ToolSpec, *, several: bool = False) -> list[str]:
    """Return the names of the arguments that a plan may fill in.

    Of several calls at once a small model fills in what it need not, with what it makes up: where a tool has
    examples, it is offered what they use, and what is required.
    """
    schema = tool.arguments_schema()
    names = list(schema.get("properties", {}))
    if not several or not tool.examples:
        return names
    used = {name for example in tool.examples for name in example.arguments}
    return [name for name in names if name in used or name in schema.get("required", [])]


def _branch(name: str, properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            "tool": {"const": name},
            **{key: bounded_schema(value, prefix=f"{name}.") for key, value in properties.items()},
        },
        "required": ["tool", *required],
        "additionalProperties": False,
    }


def bounded_schema(schema: Any, *, prefix: str = "") -> Any:
    """Return `schema` with bounds on strings and lists, and `prefix` before the names it refers to."""
    if isinstance(schema, list):
        return [bounded_schema(item, prefix=prefix) for item in schema]
    if not isinstance(schema, dict):
        return schema
    bounded = {
        key: {
            name: bounded_schema(part, prefix=prefix) for name, part in value.items()
        }  # names of fields, not of the schema
        if key in {"properties", "$defs"}
        else bounded_schema(value, prefix=prefix)
        for key, value in schema.items()
        if key not in {"title", "default"}
    }
    if isinstance(reference := bounded.get("$ref"), str):
        bounded["$ref"] = reference.replace("#/$defs/", f"#/$defs/{prefix}")
    if bounded.get("type") == "string" and not {"maxLength", "pattern", "enum", "const"} & bounded.keys():
        bounded["maxLength"] = MAX_STRING_CHARS
    if bounded.get("type") == "array" and "maxItems" not in bounded:
        bounded["maxItems"] = MAX_ITEMS
    return bounded
