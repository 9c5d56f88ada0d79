"""Whether a call may be made: what its contract says, and what a person has decided."""

from collections.abc import Mapping
from typing import Any, cast

from core.state import OpenQuestion
from tools.actions import Action
from tools.contract import Tool
from tools.journal import Journal
from tools.questions import ApprovalAnswer, approval_payload, find_answer
from tools.records import Outcome


async def approved(
    tool: Tool, values: Mapping[str, Any], action: Action, journal: Journal
) -> str | Outcome | OpenQuestion | None:
    """Return None where nobody is asked, who approved, the outcome of a rejection, or what to ask.

    The decision is bound to the action, and so to exactly these arguments.
    """
    reason = tool.approval(values)
    if reason is None:
        return None
    answered = await find_answer(journal.database, action.key, "approval", 1)
    if answered is None:
        payload = approval_payload(tool.name, action.arguments, reason=reason)
        return OpenQuestion(
            call_id=action.call_id, key=action.key, kind="approval", attempt=1, payload=payload
        )
    decision = cast("ApprovalAnswer", answered.answer).decisions[0]
    if decision.type == "approve":
        return answered.by
    why = f": {decision.message}" if decision.message else ""
    return Outcome("rejected", f"{answered.by} rejected this call of {tool.name}{why}", key=action.key)
