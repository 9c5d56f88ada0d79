"""What an OpenAI-compatible endpoint refuses, so that a request which would fail there fails in tests too."""

from collections.abc import Iterable
from typing import Any

from evals.scripted_reply import ChatRequest

_ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})


def refusal(request: ChatRequest) -> str | None:
    """Return why the endpoint would answer 400, or None."""
    if not isinstance(request.get("model"), str) or not request["model"]:
        return "you must provide a model parameter"
    messages = request.get("messages")
    if not isinstance(messages, list) or not messages:
        return "Invalid 'messages': empty array. Expected an array with minimum length 1."
    for index, message in enumerate(messages):  # pyright: ignore[reportUnknownArgumentType]
        if not isinstance(message, dict) or message.get("role") not in _ROLES:
            return f"Invalid value for 'messages[{index}].role': expected one of {sorted(_ROLES)}."
    return _unpaired(messages) or _bad_tools(request)  # pyright: ignore[reportUnknownArgumentType]


def _unpaired(messages: Iterable[dict[str, Any]]) -> str | None:
    """Return what is wrong between tool calls and their answers."""
    open_calls: set[str] = set()
    for index, message in enumerate(messages):
        if message["role"] == "tool":
            if message.get("tool_call_id") not in open_calls:
                return (
                    "Invalid parameter: messages with role 'tool' must be a response to a preceding message "
                    f"with 'tool_calls' (messages[{index}], tool_call_id {message.get('tool_call_id')!r})."
                )
            open_calls.discard(message["tool_call_id"])
        elif open_calls:
            break
        else:
            open_calls = {call["id"] for call in message.get("tool_calls") or ()}
    if open_calls:
        return (
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
            f"'tool_call_id'. These did not have response messages: {', '.join(sorted(open_calls))}"
        )
    return None


def _bad_tools(request: ChatRequest) -> str | None:
    """Return what is wrong with the tools or the response format."""
    tools = request.get("tools")
    if tools is not None and not tools:
        return "Invalid 'tools': empty array. Expected an array with minimum length 1."
    names = [tool.get("function", {}).get("name") for tool in tools or ()]
    if not all(isinstance(name, str) and name for name in names):
        return "Missing required parameter: 'tools[].function.name'."
    if request.get("tool_choice") not in (None, "none") and not names:
        return "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified."
    wanted = request.get("response_format") or {}
    if wanted.get("type") == "json_schema" and not wanted.get("json_schema", {}).get("name"):
        return "Missing required parameter: 'response_format.json_schema.name'."
    return None
