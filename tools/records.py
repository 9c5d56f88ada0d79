"""What is known of a call once it is over."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NotRequired

from langchain_core.messages import ToolMessage
from typing_extensions import TypedDict

from core.state import Source, StopReason

Ended = Literal[
    "ok",
    "error",
    "timeout",
    "unknown",
    "invalid",
    "unknown_tool",
    "duplicate",
    "refused",
    "rejected",
    "declined",
    "stopped",
]
"""How a call ended.

- `ok`, `error`, `timeout`: the tool was run, and this came of it.
- `unknown`: nobody can tell whether it happened.
- `invalid`, `unknown_tool`, `duplicate`: it was no call that could be made.
- `refused`: the tool's circuit breaker is open.
- `rejected`: a person said so, or nobody could be asked.
- `stopped`: a person stopped the run where it is not known whether the call happened.
- `declined`: the agent that was asked says that it is not the right one.
"""


class Used(TypedDict):
    """What agents have used that a call has asked."""

    input_tokens: int
    output_tokens: int


class HandedOn(Used):
    """What became of work that was handed to another agent."""

    task: str
    asked: str
    status: StopReason
    text: str


class CallRecord(TypedDict):
    """A finished call. Travels as the `artifact` of its `ToolMessage`."""

    call_id: str
    tool: str
    effect: str | None
    arguments: dict[str, Any]
    step: int
    attempt: int
    """Attempts made; 0 where the call never reached the tool."""
    outcome: str
    """One of `Ended`."""
    error: str | None
    started_at: str
    latency_ms: float
    sources: list[Source]
    key: str | None
    """The name of the action in the journal; None for what has no effect."""
    replayed: bool
    """The outcome was found in the journal; the tool was not run."""
    approved_by: str | None
    edited_by: NotRequired[str]
    """Only where a person changed the arguments that the model wrote."""
    settled_by: NotRequired[str]
    """Only where a person rejected the call, stopped the run at it, or said what became of it."""
    handed_on: NotRequired[HandedOn]
    """Only where the call has handed work to another agent."""
    used: NotRequired[Used]
    """Only where the tool has called an agent."""


def result_message(record: CallRecord, text: str) -> ToolMessage:
    """Return what the model sees of a finished call, with its record as artifact."""
    return ToolMessage(
        id=f"result_{record['call_id']}",  # the same when a killed call is run again
        content=text,
        tool_call_id=record["call_id"],
        name=record["tool"],
        status="success" if record["outcome"] == "ok" else "error",
        artifact=record,
    )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a call, before it is told to the model."""

    ended: Ended
    text: str
    attempt: int = 0
    sources: tuple[Source, ...] = ()
    key: str | None = None
    replayed: bool = False
    approved_by: str | None = None
    edited_by: str | None = None
    settled_by: str | None = None
    arguments: Mapping[str, Any] | None = None
    """What the call was made with, where somebody changed what the model wrote."""
