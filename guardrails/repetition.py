"""Notices a loop that repeats itself."""

import json
from collections import Counter
from collections.abc import Sequence

from langchain_core.messages import AIMessage, AnyMessage, ToolCall

from core.state import Stop

MAX_SAME_CALLS = 3


def repeated(turn_messages: Sequence[AnyMessage]) -> Stop | None:
    """Return why the turn is stopped when it made the same call three times over, else None."""
    for (name, arguments), times in _made(turn_messages).items():
        if times >= MAX_SAME_CALLS:
            return Stop(
                reason="repeated",
                message=f"I stopped: I called {name} {times} times with the same arguments "
                f"({arguments[:200]}) and got no further.",
            )
    return None


def times_made(turn_messages: Sequence[AnyMessage], call: ToolCall) -> int:
    """Return how often the messages hold the same call."""
    return _made(turn_messages)[_as_made(call)]


def _made(turn_messages: Sequence[AnyMessage]) -> Counter[tuple[str, str]]:
    return Counter(
        _as_made(call)
        for message in turn_messages
        if isinstance(message, AIMessage)
        for call in message.tool_calls
    )


def _as_made(call: ToolCall) -> tuple[str, str]:
    return call["name"], json.dumps(call["args"], sort_keys=True, default=str)
