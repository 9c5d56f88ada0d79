"""What the model gets to see of a call: results as text of bounded size, errors that it can repair."""

import json
from collections.abc import Mapping
from typing import Any, Final

from langgraph.types import Command
from pydantic import BaseModel, ValidationError

from core.protocols import ToolSpec
from core.state import Source
from tools.contract import ToolResult

MAX_SOURCES_CHARS: Final = 200_000
"""Most characters of the sources of one call that are kept on record."""
MAX_MISTAKES: Final = 20
"""Most mistakes in the arguments of one call that the model is told."""
MAX_FAILURE_CHARS: Final = 30_000
"""Most characters of what the model is told of a call that came to nothing, whatever it is."""
MAX_NAME_CHARS: Final = 200
MAX_DEPTH: Final = 20
MAX_MISTAKE_CHARS: Final = 500
MAX_EXPECTED_CHARS: Final = 10_000
_COMMAND = (
    "it is a LangGraph Command, and a tool here can't change the graph's state or where it goes on. Return "
    "text, JSON or a tools.contract.ToolResult."
)


def as_result(value: Any) -> ToolResult:
    """Return what a tool returned as a `ToolResult`; values that are not text become JSON.

    Raises:
        ValueError: it is neither text nor JSON, such as a list that holds itself, or it commands the graph.
        TypeError: it is a `ToolResult` of something else than texts.
    """
    if isinstance(value, ToolResult):
        return _bounded(value)
    if isinstance(value, str):
        return ToolResult(value)
    if isinstance(value, BaseModel):
        return ToolResult(value.model_dump_json())
    try:
        return ToolResult(json.dumps(value, ensure_ascii=False, default=_text_of))
    except (TypeError, RecursionError) as error:
        raise ValueError(f"a {type(value).__name__} that is no JSON: {error}") from error


def _bounded(result: ToolResult) -> ToolResult:
    """Return a result with as much of its sources as is kept on record."""
    if not isinstance(result.text, str):  # pyright: ignore[reportUnnecessaryIsInstance] - tools without a type checker
        raise TypeError(f"the text of its ToolResult is a {type(result.text).__name__}, expected a str")
    if sum(map(_size, result.sources)) <= MAX_SOURCES_CHARS:
        return result
    kept, left = list[Source](), MAX_SOURCES_CHARS
    for one in result.sources:
        names = Source(source=shortened(one["source"]), section=shortened(one["section"]), text="")
        kept.append({**names, "text": cut(one["text"], max(0, left - _size(names)))})
        left -= _size(kept[-1])
        if left <= 0:
            break
    return ToolResult(result.text, tuple(kept))


def _size(source: Source) -> int:
    return len(source["source"]) + len(source["section"]) + len(source["text"])


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


def shortened(name: str, max_chars: int = MAX_NAME_CHARS) -> str:
    """Return a name that somebody else has chosen, in a length that can be shown."""
    return name if len(name) <= max_chars else f"{name[:max_chars]}..."


MALFORMED = "__malformed__"
"""The one argument of a call whose arguments were not JSON; it holds what the model wrote."""


def describe_invalid(tool: ToolSpec, error: ValidationError, given: Mapping[str, Any]) -> str:
    """Phrase a validation error so that a model can repair its call."""
    if set(given) == {MALFORMED}:
        lines = [f"The arguments of {tool.name} are not JSON: {cut(str(given[MALFORMED]), 200)}"]
    else:
        lines = [f"The arguments of {tool.name} are not valid:"]
        found = error.errors(include_url=False)
        for item in found[:MAX_MISTAKES]:
            parts = (shortened(" ".join(str(part).split())) for part in item["loc"][:MAX_DEPTH])
            where, what = ".".join(parts) or "arguments", " ".join(item["msg"].split())
            value = "" if item["type"] == "missing" else f" (given: {cut(repr(item['input']), 80)})"
            lines.append(f"- {where}: {shortened(what, MAX_MISTAKE_CHARS)}{value}")
        if len(found) > MAX_MISTAKES:
            lines.append(f"- and {len(found) - MAX_MISTAKES} more like these")
    expected = json.dumps(tool.arguments_schema().get("properties", {}))
    lines.append(f"Expected: {cut(expected, MAX_EXPECTED_CHARS)}")
    return "\n".join(lines)
