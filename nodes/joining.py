"""Makes one answer of what the specialists of a router said."""

import uuid
from collections.abc import Sequence
from typing import Any, Final

from langchain_core.messages import AIMessage, AnyMessage, ToolMessage

from core.state import Stop, StopReason
from memory.buffer import without_earlier_turns

MAX_TITLE_CHARS: Final = 80
LEFT_OUT: Final = "left_out"
"""Under which a router's message holds the parts of a request that are for nobody."""


def joined(in_turn: Sequence[AnyMessage], results: Sequence[ToolMessage]) -> dict[str, Any]:
    """Return the answer made of what the specialists said, with what nobody is for; of what failed, why."""
    asked = _asked(results)
    said = [one for one in asked if "handed_on" in one.artifact and one.artifact["outcome"] == "ok"]
    if not said:
        return {"stop": _failed(results)}
    several = len(asked) > 1
    parts = [f"**{_title(one)}**\n\n{one.text}" if several else one.text for one in said]
    left_out = [text for one in in_turn for text in one.additional_kwargs.get(LEFT_OUT, ())]
    parts += [f"Nobody here can help with: {without_earlier_turns(text)}" for text in left_out]
    return {"messages": [AIMessage("\n\n".join(parts), id=f"msg_{uuid.uuid4().hex}")]}


def _asked(results: Sequence[ToolMessage]) -> list[ToolMessage]:
    """Return the results, with those of the second choice in the place of what was handed back."""
    newest = max(one.artifact["step"] for one in results)
    first, second = (
        [one for one in results if (one.artifact["step"] == newest) is last] for last in (False, True)
    )
    at = next((n for n, one in enumerate(first) if one.artifact["outcome"] == "declined"), len(first))
    kept = [one for one in first[at:] if one.artifact["outcome"] != "declined"]
    return [*first[:at], *second, *kept]


def _title(result: ToolMessage) -> str:
    line = " ".join(without_earlier_turns(str(result.artifact["handed_on"]["asked"])).split())
    return line if len(line) <= MAX_TITLE_CHARS else f"{line[: MAX_TITLE_CHARS - 1]}…"


def _failed(results: Sequence[ToolMessage]) -> Stop:
    last = results[-1]
    told = last.artifact.get("handed_on")
    status: StopReason = told["status"] if told else "failed"
    text = told["text"] if told else last.text
    if status == "declined":
        return Stop(reason="declined", message=f"Nobody here can help with that: {text}")
    return Stop(reason=status, message=text)
