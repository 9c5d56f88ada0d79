"""Notices a loop that repeats itself."""

import json
from collections import Counter
from collections.abc import Sequence

from langchain_core.messages import AIMessage, AnyMessage, ToolCall, ToolMessage

from core.state import Stop

MAX_SAME_CALLS = 3
REPEATED = "\nThis call has been made "
"""How the note begins that a failing call gets when it is made again."""


def repeated(turn_messages: Sequence[AnyMessage]) -> Stop | None:
    """Return why the turn is stopped when the same call came to the same end three times over, else None.

    Calls of one message count once: it is the loop that repeats itself. What a call returns may change, and
    then it is asked again with reason. All failures are one end: their texts differ by a time or a number.
    """
    results = {one.tool_call_id: one for one in turn_messages if isinstance(one, ToolMessage)}
    ended: Counter[tuple[str, str, str | None]] = Counter()
    for message in turn_messages:
        if isinstance(message, AIMessage):
            ended.update(
                {(*_as_made(call), _end(results.get(call["id"] or ""))) for call in message.tool_calls}
            )
    for (name, arguments, _), times in ended.items():
        if times >= MAX_SAME_CALLS:
            return Stop(
                reason="repeated",
                message=f"I stopped: I called {name} {times} times with the same arguments "
                f"({arguments[:200]}) and got no further.",
            )
    return None


def _end(result: ToolMessage | None) -> str | None:
    """Return how a call ended: what it returned, or None for a failure."""
    if result is None:
        return ""
    return None if result.status == "error" else result.text


def times_made(turn_messages: Sequence[AnyMessage], call: ToolCall) -> int:
    """Return how often the messages hold the same call."""
    return _made(turn_messages)[_as_made(call)]


def is_again(call: ToolCall, calls: Sequence[ToolCall]) -> bool:
    """Tell whether an equal call stands before this one among the calls of its message."""
    return _as_made(call) in [_as_made(one) for one in calls[: calls.index(call)]]


def _made(turn_messages: Sequence[AnyMessage]) -> Counter[tuple[str, str]]:
    return Counter(
        _as_made(call)
        for message in turn_messages
        if isinstance(message, AIMessage)
        for call in message.tool_calls
    )


def _as_made(call: ToolCall) -> tuple[str, str]:
    return call["name"], json.dumps(call["args"], sort_keys=True, default=str)
