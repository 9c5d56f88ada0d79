"""Notices a loop that repeats itself."""

import json
from collections import Counter
from collections.abc import Sequence

from langchain_core.messages import AIMessage, AnyMessage

from core.state import Stop

MAX_SAME_CALLS = 3


def repeated(turn_messages: Sequence[AnyMessage]) -> Stop | None:
    """Return why the turn is stopped when it made the same call three times over, else None."""
    calls = Counter(
        (call["name"], json.dumps(call["args"], sort_keys=True, default=str))
        for message in turn_messages
        if isinstance(message, AIMessage)
        for call in message.tool_calls
    )
    for (name, arguments), times in calls.items():
        if times >= MAX_SAME_CALLS:
            return Stop(
                reason="repeated",
                message=f"I stopped: I called {name} {times} times with the same arguments "
                f"({arguments[:200]}) and got no further.",
            )
    return None
