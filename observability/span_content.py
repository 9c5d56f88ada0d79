"""What was asked and answered, as spans hold it: the JSON of OpenTelemetry's conventions, bounded.

A span holds texts as they were, each up to a little beyond its bound, and what is left out is counted. They
are redacted and cut where spans are delivered, see `kept_content`: half a secret would not be known as one.

Source: the semantic conventions of OpenTelemetry for generative AI, JSON schemas of input messages, output
messages and system instructions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, cast

import orjson
from langchain_core.messages import AIMessage, BaseMessage, SystemMessage, ToolMessage

from core.text import stored_json
from core.trace_settings import Content
from observability import names
from observability.redactor import redacted_value

MOST_CHARS: Final = 8_000
"""Of one message, of the arguments of a call, and of its result."""
MOST_ASKED_CHARS: Final = 24_000
"""Of all that a model is asked, so that with its answer it is 32,000."""
_BORDER_CHARS: Final = 500
"""How far beyond a cut a text is held, so that what is cut off in its middle is known for what it is."""
_MOST_PARTS: Final = 100
_MOST_NAME_CHARS: Final = 200
_ROLES: Final = {"human": "user", "ai": "assistant", "system": "system", "tool": "tool"}
_CUT, _AT, _BEYOND, _OF = (f"boring.cut{part}" for part in ("", ".at", ".beyond", ".of"))
"""Of an object in the place of a text that is to be cut: its beginning, where that is to end, how many
characters of it stand behind that, and how many there were in all."""
_MOST_COUNTED: Final = 10**8 - 1
"""Longer numbers are looked at as those of somebody."""


def asked_of(messages: Sequence[BaseMessage]) -> dict[str, Any]:
    """Return the attributes of what a model is asked: its instructions, and the newest messages in order."""
    begins = next((n for n, one in enumerate(messages) if not isinstance(one, SystemMessage)), len(messages))
    instructions: list[dict[str, Any]] = []
    left = MOST_CHARS
    for one in messages[:begins]:
        instructions += _parts(one, left)
        left = max(0, left - len(one.text))
    held: list[dict[str, Any]] = []
    left += MOST_ASKED_CHARS - MOST_CHARS
    for one in reversed(messages[begins:]):
        message, size = _message(one)
        if held and size > left:
            break
        held.append(message)
        left -= size
    told: dict[str, Any] = {names.INPUT_MESSAGES: stored_json(held[::-1])}
    if instructions:
        told[names.SYSTEM_INSTRUCTIONS] = stored_json(instructions)
    if left_out := len(messages) - begins - len(held):
        told[names.CONTENT_LEFT_OUT] = f"{left_out} earlier messages"
    return told


def answered_by(reply: BaseMessage, finished: str) -> dict[str, Any]:
    """Return the attributes of what a model answered, and why it stopped."""
    message, _ = _message(reply)
    return {names.OUTPUT_MESSAGES: stored_json([message | {"finish_reason": finished or "unknown"}])}


def question(text: str) -> dict[str, Any]:
    """Return the attributes of what an agent is asked."""
    return {names.INPUT_MESSAGES: stored_json([_spoken("user", text)])}


def answer(text: str, status: str) -> dict[str, Any]:
    """Return the attributes of what an agent answers, or why it does not."""
    told = _spoken("assistant", text) | {"finish_reason": "stop" if status == "answered" else status}
    return {names.OUTPUT_MESSAGES: stored_json([told])}


def arguments(given: Any) -> dict[str, Any]:
    """Return the attributes of what a tool is given."""
    return {names.TOOL_ARGUMENTS: stored_json(_bounded(given, MOST_CHARS))}


def result(text: str) -> dict[str, Any]:
    """Return the attributes of what a tool has given back."""
    return {names.TOOL_RESULT: stored_json(_text(text, MOST_CHARS))}


def kept_content(attributes: Mapping[str, Any], content: Content) -> dict[str, str]:
    """Return the attributes that tell what was said as they are kept: redacted by the setting, and cut.

    What was kept so before is not changed by it.
    """
    kept: dict[str, str] = {}
    for name, value in content_of(attributes).items():
        if content == "off":
            continue
        done = _ended(redacted_value(value) if content == "redacted" else value)
        kept[name] = done if isinstance(done, str) else stored_json(done)
    return kept


def content_of(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was said as plain values, by the names of the attributes that tell it."""
    return {name: _loaded(attributes[name]) for name in names.CONTENT if name in attributes}


def _message(one: BaseMessage) -> tuple[dict[str, Any], int]:
    """Return a message as the conventions have it, and how many characters of it are to be told."""
    parts = _parts(one, MOST_CHARS)
    return {"role": _ROLES.get(one.type, one.type), "parts": parts}, sum(map(_size, parts))


def _spoken(role: str, text: str) -> dict[str, Any]:
    return {"role": role, "parts": [{"type": "text", "content": _text(text, MOST_CHARS)}]}


def _parts(one: BaseMessage, most: int) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    for part, name in _all_parts(one):
        if len(parts) == _MOST_PARTS:
            parts.append({"type": "text", "content": "[further parts left out]"})
            break
        part[name] = _bounded(part[name], most)
        most = max(0, most - _size(part))
        parts.append(part)
    return parts


def _all_parts(one: BaseMessage) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield each part of a message, and the name of what may be long in it."""
    if isinstance(one, ToolMessage):
        called = str(one.tool_call_id)[:_MOST_NAME_CHARS]
        yield {"type": "tool_call_response", "id": called, "response": one.text}, "response"
        return
    for block in [one.content] if isinstance(one.content, str) else one.content:
        text = block if isinstance(block, str) else block.get("text")
        if isinstance(text, str) and text:
            yield {"type": "text", "content": text}, "content"
        elif not isinstance(block, str):
            kind = str(block.get("type"))[:_MOST_NAME_CHARS]
            yield {"type": kind, "content": f"[{kind} left out]"}, "content"
    for call in one.tool_calls if isinstance(one, AIMessage) else ():
        told = {name: str(call[name] or "")[:_MOST_NAME_CHARS] for name in ("id", "name")}
        yield {"type": "tool_call", **told, "arguments": call["args"]}, "arguments"


def _size(part: Mapping[str, Any]) -> int:
    """Return how many characters of a part are to be told."""
    told = next((part[name] for name in ("content", "response", "arguments") if name in part), "")
    if isinstance(told, str):
        return len(told)
    return told[_AT] if _AT in told else len(stored_json(told))


def _bounded(value: Any, most: int) -> Any:
    """Return a value, or where its JSON is too long, the beginning of that."""
    if isinstance(value, str):
        return _text(value, most)
    text = stored_json(value)
    return orjson.loads(text) if len(text) <= most else _text(text, most)


def _text(text: str, most: int) -> Any:
    if len(text) <= most:
        return text
    held = text[: most + _BORDER_CHARS] if most else ""
    return {_CUT: held, _AT: most, _BEYOND: len(held) - most, _OF: min(len(text), _MOST_COUNTED)}


def _ended(kept: Any) -> Any:
    """Return a value as it is kept, with its texts cut.

    A redacted text is shorter or longer than it was: what was held beyond the cut is taken from its end.
    """
    if isinstance(kept, dict):
        told = cast("dict[str, Any]", kept)
        if _CUT not in told:
            return {key: _ended(one) for key, one in told.items()}
        text, at = str(told[_CUT]), int(told[_AT])
        end = max(0, min(at, len(text) - int(told[_BEYOND])))
        return f"{text[:end]}… [{int(told[_OF]) - at:,} characters left out]"
    return [_ended(one) for one in cast("list[Any]", kept)] if isinstance(kept, list) else kept


def _loaded(held: Any) -> Any:
    """Return what stands in an attribute; a result that was kept before is a text."""
    try:
        return orjson.loads(held)
    except orjson.JSONDecodeError:
        return held
