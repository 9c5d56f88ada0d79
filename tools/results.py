"""What the model gets to see of a call: results as text of bounded size, errors that it can repair."""

import json
from collections.abc import Mapping
from typing import Any

from langgraph.types import Command
from pydantic import BaseModel, ValidationError

from core.protocols import ToolSpec
from tools.contract import ToolResult

_COMMAND = (
    "it is a LangGraph Command, and a tool here can't change the graph's state or where it goes on. Return "
    "text, JSON or a tools.contract.ToolResult."
)


def as_result(value: Any) -> ToolResult:
    """Return what a tool returned as a `ToolResult`; values that are not text become JSON.

    Raises:
        ValueError: it is neither text nor JSON, such as a list that holds itself, or it commands the graph.
    """
    if isinstance(value, ToolResult):
        return value
    if isinstance(value, str):
        return ToolResult(value)
    if isinstance(value, BaseModel):
        return ToolResult(value.model_dump_json())
    try:
        return ToolResult(json.dumps(value, ensure_ascii=False, default=_text_of))
    except (TypeError, RecursionError) as error:
        raise ValueError(f"a {type(value).__name__} that is no JSON: {error}") from error


def _text_of(value: Any) -> str:
    """Return what stands in JSON for a value that has no form there."""
    if isinstance(value, Command):
        raise ValueError(_COMMAND)  # noqa: TRY004 - what no result can be is a ValueError, whatever its type
    return str(value)


def busy_text(tool: str, seconds: float) -> str:
    """Tell the model that there was no slot for its call, which was therefore not made."""
    return f"{tool} was busy for {seconds:g} s and not called."


def cut(text: str, max_chars: int, rest: str = "") -> str:
    """Return `text`, cut to `max_chars` characters with a note of what is missing and how to get it."""
    if len(text) <= max_chars:
        return text
    note = f"[cut: {len(text) - max_chars} of {len(text)} characters left out."
    return f"{text[:max_chars]}\n{note}{f' {rest}' if rest else ''}]"


MALFORMED = "__malformed__"
"""The one argument of a call whose arguments were not JSON; it holds what the model wrote."""


def describe_invalid(tool: ToolSpec, error: ValidationError, given: Mapping[str, Any]) -> str:
    """Phrase a validation error so that a model can repair its call."""
    if set(given) == {MALFORMED}:
        lines = [f"The arguments of {tool.name} are not JSON: {cut(str(given[MALFORMED]), 200)}"]
    else:
        lines = [f"The arguments of {tool.name} are not valid:"]
        for item in error.errors(include_url=False):
            where = ".".join(str(part) for part in item["loc"]) or "arguments"
            value = "" if item["type"] == "missing" else f" (given: {cut(repr(item['input']), 80)})"
            lines.append(f"- {where}: {item['msg']}{value}")
    lines.append(f"Expected: {json.dumps(tool.arguments_schema().get('properties', {}))}")
    return "\n".join(lines)
