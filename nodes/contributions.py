"""Which agent has said what to an answer, and what was not done."""

from collections.abc import Sequence

from langchain_core.messages import AnyMessage, ToolMessage

from core.state import Contribution

_MAX_WORDS_CHARS = 200


def contributions(turn_messages: Sequence[AnyMessage]) -> list[Contribution]:
    """Return what other agents were asked in this turn and what they said, oldest first.

    A task that was given again, under its name, counts by what came of it last.
    """
    found: dict[str, Contribution] = {}
    for message in turn_messages:
        if not isinstance(message, ToolMessage) or "handed_on" not in (message.artifact or {}):
            continue
        told = message.artifact["handed_on"]
        found[told["task"] or message.tool_call_id] = Contribution(
            agent=message.artifact["tool"],
            task=told["task"] or told["asked"][:_MAX_WORDS_CHARS],
            status=told["status"],
            text=told["text"],
        )
    return list(found.values())


def undone(found: Sequence[Contribution]) -> str:
    """Return a note on the tasks that were not done, empty where all were."""
    missing = [one for one in found if one["status"] not in {"answered", "declined"}]
    return "\n".join(
        f"Not done: {one['task']} ({one['agent']}, {one['status']}: {one['text'][:_MAX_WORDS_CHARS]})"
        for one in missing
    )
