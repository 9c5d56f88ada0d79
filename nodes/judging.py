"""What a step's results say was decided about its calls, for the record of decisions."""

from core.state import Answer, OpenQuestion
from observability.decisions import NO_PERSONS
from observability.noting import note_decision
from tools.records import CallRecord

_NOT_MADE = {
    "refused": "its circuit breaker is open",
    "invalid": "its arguments are not what the tool takes",
    "unknown_tool": "there is no such tool",
    "duplicate": "the same call stands in the message already",
}


def note_call(record: CallRecord, step: int) -> None:
    """Note whether a call was made or refused, and who agreed to it or settled it."""
    tool = record["tool"]
    refused = _refused(record)
    if refused is not None:
        reason, by = refused
        note_decision("refused", tool, step=step, by=by, reason=reason)
        return
    if record["approved_by"]:
        edited = f"with arguments that {record['edited_by']} changed" if "edited_by" in record else ""
        note_decision("approved", tool, step=step, by=_named(record["approved_by"]), reason=edited)
    handed_on = record.get("handed_on")
    if handed_on is not None:
        how = "ok" if record["outcome"] == "ok" else handed_on["status"]
        note_decision("delegate", tool, step=step, by="model", reason=how)
        return
    how = "found in the journal" if record["replayed"] else record["outcome"]
    note_decision("tool", tool, step=step, by=_named(record.get("settled_by")) or "model", reason=how)


def _refused(record: CallRecord) -> tuple[str, str] | None:
    """Return why a call was not made, and who said so; None of one that was made."""
    outcome, handed_on = record["outcome"], record.get("handed_on")
    if handed_on is not None:
        return None if record["attempt"] else (handed_on["text"], "rule")
    if outcome == "rejected":
        person = record.get("settled_by")
        return ("it was rejected", _named(person)) if person else (record["error"] or "", "rule")
    if outcome == "ok" and record["approved_by"] and not (record["attempt"] or record["replayed"]):
        return "it was answered instead", _named(record["approved_by"])
    return (_NOT_MADE[outcome], "rule") if outcome in _NOT_MADE else None


def _named(person: str | None) -> str:
    """Return a person's name, told apart from what decides and is no person."""
    return f"the person {person}" if person in NO_PERSONS else person or ""


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
