"""What was asked and answered in the words of places for traces, beside OpenTelemetry's own.

Each function takes the attributes of a span as they are kept, see `observability.span_content`, and returns
further ones.

Source: the semantic conventions of OpenInference (input and output, messages, tools); the documentation of
Langfuse on OpenTelemetry (property mapping); LangSmith's on OpenTelemetry, and its client's own exporter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import orjson

from observability import names
from observability.span_content import content_of

Attributes = Mapping[str, Any]
_JSON: Final = "application/json"
_TEXT: Final = "text/plain"
_MOST_MESSAGES: Final = 100
"""Of one span whose messages are told one by one, the newest."""


def none(_attributes: Attributes) -> dict[str, Any]:
    """Return nothing: OpenTelemetry's own names are what the place reads."""
    return {}


def openinference(attributes: Attributes) -> dict[str, Any]:
    """Return input and output, messages one by one, and a tool's arguments."""
    said = content_of(attributes)
    told: dict[str, Any] = {}
    for side, value in (("input", _asked(said)), ("output", _answered(said))):
        if value is not None:
            is_text = isinstance(value, str)
            told[f"{side}.value"] = value if is_text else _json(value)
            told[f"{side}.mime_type"] = _TEXT if is_text else _JSON
    if attributes.get(names.OPERATION) == names.CHAT:
        for side, messages in (("input", _in_order(said)), ("output", _chat(said, names.OUTPUT_MESSAGES))):
            for number, message in enumerate(messages[-_MOST_MESSAGES:]):
                told |= _openinference_message(f"llm.{side}_messages.{number}.message", message)
    if names.TOOL_ARGUMENTS in said:
        told["tool.parameters"] = _json(said[names.TOOL_ARGUMENTS])
    return told


def langfuse(attributes: Attributes) -> dict[str, Any]:
    """Return the input and the output of an observation, and of a trace those of its invocation."""
    said = content_of(attributes)
    told = {"input": _asked(said), "output": _answered(said)}
    told = {
        side: value if isinstance(value, str) else _json(value)
        for side, value in told.items()
        if value is not None
    }
    found = {f"langfuse.observation.{side}": value for side, value in told.items()}
    if attributes.get(names.OPERATION) == names.INVOKE_AGENT:
        found |= {f"langfuse.trace.{side}": value for side, value in told.items()}
    return found


def langsmith(attributes: Attributes) -> dict[str, Any]:
    """Return the inputs and the outputs of a run, as JSON of an object each."""
    said = content_of(attributes)
    told: dict[str, Any] = {}
    for name, value in (("gen_ai.prompt", _asked(said)), ("gen_ai.completion", _answered(said))):
        if isinstance(value, str):
            told[name] = _json({"input" if name == "gen_ai.prompt" else "output": value})
        elif value is not None:
            told[name] = _json({"messages": value} if isinstance(value, list) else value)
    return told


def as_messages(attributes: Attributes) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return what was asked and what was answered as messages of a chat, a call of a tool as well."""
    said = content_of(attributes)
    if names.TOOL_ARGUMENTS in said or names.TOOL_RESULT in said:
        given = [{"role": "arguments", "content": _worded(one)} for one in _those(said, names.TOOL_ARGUMENTS)]
        return given, [{"role": "result", "content": _worded(one)} for one in _those(said, names.TOOL_RESULT)]
    return _in_order(said), _chat(said, names.OUTPUT_MESSAGES)


def worded_message(message: Mapping[str, Any]) -> str:
    """Return what a message says, and what it calls, as text."""
    called = [
        f"{one['function']['name']} {one['function']['arguments']}" for one in message.get("tool_calls", ())
    ]
    return "\n".join([*([message["content"]] if message["content"] else []), *called])


def _those(said: Mapping[str, Any], name: str) -> list[Any]:
    return [said[name]] if name in said else []


def _asked(said: Mapping[str, Any]) -> Any:
    """Return what went in: a tool's arguments, the messages of a chat, or an agent's question."""
    if names.TOOL_ARGUMENTS in said:
        return said[names.TOOL_ARGUMENTS]
    return _in_order(said) or None


def _answered(said: Mapping[str, Any]) -> Any:
    if names.TOOL_RESULT in said:
        result = said[names.TOOL_RESULT]
        return result if isinstance(result, str) else _json(result)
    return _chat(said, names.OUTPUT_MESSAGES) or None


def _in_order(said: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the messages that went in, the instructions first."""
    instructions = {"role": "system", "parts": said.get(names.SYSTEM_INSTRUCTIONS)}
    first = _as_chat(instructions) if _is_message(instructions) else ()
    return [*first, *_chat(said, names.INPUT_MESSAGES)]


def _chat(said: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """Return messages in the form that chat interfaces have; what others wrote there may be no messages."""
    held = said.get(name)
    messages: list[Any] = held if isinstance(held, list) else []
    return [one for message in messages if _is_message(message) for one in _as_chat(message)]


def _is_message(told: Any) -> bool:
    if not (isinstance(told, dict) and {"role", "parts"} <= told.keys() and isinstance(told["parts"], list)):
        return False
    wanted: dict[Any, set[str]] = {
        "tool_call_response": {"id", "response"},
        "tool_call": {"id", "name", "arguments"},
    }
    return all(
        isinstance(one, dict) and wanted.get(one.get("type"), set()) <= one.keys() for one in told["parts"]
    )


def _as_chat(message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    parts: Sequence[Mapping[str, Any]] = message["parts"]
    for part in parts:
        if part.get("type") == "tool_call_response":
            yield {"role": "tool", "content": _worded(part["response"]), "tool_call_id": part["id"]}
    calls = [
        {
            "id": part["id"],
            "type": "function",
            "function": {"name": part["name"], "arguments": _worded(part["arguments"])},
        }
        for part in parts
        if part.get("type") == "tool_call"
    ]
    texts = _texts(parts)
    if texts or calls or not parts:
        told = {"role": message["role"], "content": "\n\n".join(texts)}
        yield told | ({"tool_calls": calls} if calls else {})


def _texts(parts: Sequence[Mapping[str, Any]]) -> list[str]:
    return [_worded(part["content"]) for part in parts if "content" in part]


def _openinference_message(at: str, message: Mapping[str, Any]) -> dict[str, Any]:
    told = {f"{at}.role": message["role"], f"{at}.content": message["content"]}
    if "tool_call_id" in message:
        told[f"{at}.tool_call_id"] = message["tool_call_id"]
    for number, call in enumerate(message.get("tool_calls", ())):
        called = f"{at}.tool_calls.{number}.tool_call"
        told[f"{called}.id"] = call["id"]
        told[f"{called}.function.name"] = call["function"]["name"]
        told[f"{called}.function.arguments"] = call["function"]["arguments"]
    return told


def _worded(value: Any) -> str:
    return value if isinstance(value, str) else _json(value)


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
