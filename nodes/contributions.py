"""Which agent has said what to an answer, and what was not done."""

from collections.abc import Sequence

from langchain_core.messages import AnyMessage, ToolMessage

from core.state import Contribution
from memory.buffer import without_earlier_turns
from tools.records import CallRecord

_MAX_WORDS_CHARS = 200


def contributions(turn_messages: Sequence[AnyMessage]) -> list[Contribution]:
    """Return what other agents were asked in this turn and what they said, oldest first.

    A task that was given again in a later step, under its name, counts by what came of it last. A request
    that was handed back counts only where nobody was asked after that.
    """
    records = [
        one.artifact
        for one in turn_messages
        if isinstance(one, ToolMessage) and "handed_on" in (one.artifact or {})
    ]
    later = {_name(record): record["step"] for record in records}
    last = max((record["step"] for record in records), default=0)
    return [
        Contribution(
            agent=record["tool"],
            task=record["handed_on"]["task"] or _words(record["handed_on"]["asked"]),
            status=record["handed_on"]["status"],
            text=record["handed_on"]["text"],
        )
        for record in records
        if record["step"] == later[_name(record)] and not _is_followed(record, last)
    ]


def undone(found: Sequence[Contribution]) -> str:
    """Return a note on the tasks that were not done, empty where all were."""
    return "\n".join(
        f"Not done: {one['task']} ({one['agent']}, {one['status']}: {one['text'][:_MAX_WORDS_CHARS]})"
        for one in found
        if one["status"] != "answered"
    )


def _name(record: CallRecord) -> str:
    """Return what a task goes by when it is given again; a request goes by its call."""
    return record.get("handed_on", {}).get("task") or record["call_id"]


def _is_followed(record: CallRecord, last: int) -> bool:
    """Tell whether somebody else was asked after a request was handed back."""
    told = record.get("handed_on", {})
    return told.get("status") == "declined" and not told.get("task") and record["step"] < last


def _words(asked: str) -> str:
    return without_earlier_turns(asked)[:_MAX_WORDS_CHARS]
