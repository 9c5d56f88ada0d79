"""What a step's results say was decided about its calls, for the record of decisions."""

from core.state import Answer, OpenQuestion
from observability.noting import note_decision
from tools.records import CallRecord

_NOT_MADE = {
    "refused": "its circuit breaker is open",
    "invalid": "its arguments are not what the tool takes",
    "unknown_tool": "there is no such tool",
    "duplicate": "the same call stands in the message already",
    "rejected": "it was rejected",
    "declined": "a person declined it",
    "stopped": "a person stopped the run",
}


def note_call(record: CallRecord, step: int) -> None:
    """Note whether a call was made, refused or tried again, and who agreed to it."""
    tool, outcome = record["tool"], record["outcome"]
    if outcome in _NOT_MADE:
        by = record["approved_by"] or "rule"
        note_decision("refused", tool, step=step, by=by, reason=_NOT_MADE[outcome])
        return
    if record["approved_by"]:
        note_decision("approved", tool, step=step, by=record["approved_by"])
    if record["attempt"] > 1:
        note_decision("retry", tool, step=step, reason=f"{record['attempt']} attempts")
    kind = "delegate" if record.get("handed_on") else "tool"
    how = "found in the journal" if record["replayed"] else outcome
    note_decision(kind, tool, step=step, by="model", reason=how)


def note_asked(question: OpenQuestion, step: int) -> None:
    """Note that a person is asked before a call can go on."""
    requests = question["payload"].get("action_requests") or [{}]
    about = str(requests[0].get("name") or requests[0].get("action") or question["payload"].get("tool") or "")
    note_decision("asked", about or question["call_id"], step=step, reason=question["kind"])


def note_end(answer: Answer, step: int, *, why: str) -> None:
    """Note that the turn is over, and how."""
    if answer["status"] == "answered":
        cited = ", ".join(answer["sources"])
        note_decision("answered", "answered", step=step, by="model", reason=cited and f"from {cited}")
    else:
        note_decision("stopped", answer["status"], step=step, reason=why)
