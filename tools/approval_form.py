"""A request for approval in the form that Agent Chat UI shows, and what an answer to it is about."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from core.text import storable
from guardrails.chain import ANYBODY, Chain
from memory.approvals import ApprovalRow, NewApproval
from tools.inbox import chain_of

DECISIONS: Final = ("approve", "edit", "reject", "respond")


def approval_payload(request: NewApproval, *, attempt: int) -> dict[str, Any]:
    """Return what a person is shown of a call that needs approval.

    Args:
        request: as it stands.
        attempt: numbers the questions about it.

    Source: `HITLRequest` of LangChain's human-in-the-loop middleware, which Agent Chat UI shows. `kind` and
    `approval` are ours; clients leave alone what they do not know.
    """
    chain = chain_of(request)
    action = {"name": request.tool, "args": request.arguments, "description": _described(request, chain)}
    review = {
        "action_name": request.tool,
        "allowed_decisions": list(DECISIONS),
        "args_schema": request.arguments_schema,
    }
    levels = [
        {
            "role": one.level.role,
            "quorum": one.level.quorum,
            "state": one.state,
            "agreed": [agreement.by for agreement in one.agreed],
            "due_at": one.due_at.isoformat() if one.due_at is not None else None,
        }
        for one in chain.levels
        if one.level.role != ANYBODY
    ]
    about = {
        "id": str(request.id),
        "arguments_hash": request.arguments_hash,
        "attempt": attempt,
        "requester": request.requester,
        "order": chain.order,
        "levels": levels,
    }
    return storable(
        {"kind": "approval", "action_requests": [action], "review_configs": [review], "approval": about}
    )


def shown(payload: Mapping[str, Any]) -> tuple[UUID, str, int] | None:
    """Return what an interrupt shows: the request's id, the hash of its arguments, the question's number.

    None for a question that is not about approval.
    """
    told = payload.get("approval")
    return None if told is None else (UUID(told["id"]), told["arguments_hash"], told["attempt"])


def _described(request: NewApproval, chain: Chain) -> str:
    asked = [
        f"{one.level.quorum} of {one.level.role} ({len(one.agreed)} so far)"
        if one.level.quorum > 1
        else one.level.role
        for one in chain.open
        if one.level.role != ANYBODY
    ]
    note = request.note if isinstance(request, ApprovalRow) else None
    parts = [
        request.reason,
        f"Asked is: {', '.join(asked)}." if asked else "",
        f"The last change of the arguments was refused. {note}" if note else "",
    ]
    return " ".join(part for part in parts if part)
