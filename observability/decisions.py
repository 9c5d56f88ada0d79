"""The record of decisions that no model's message shows, such as which model was asked instead."""

import uuid
from collections.abc import Sequence
from typing import Literal

from psycopg.types.json import Jsonb

from core.database import Database

DecisionKind = Literal["fallback", "route"]
"""`fallback`: another model answered than the first in line. `route`: who gets a request."""
_RECORD = """
insert into boring.decision (id, thread_id, run_id, step, kind, choice, candidates, reason, decided_by,
                             confidence)
values (%(id)s, %(thread_id)s, %(run_id)s, %(step)s, %(kind)s, %(choice)s, %(candidates)s, %(reason)s,
        %(decided_by)s, %(confidence)s)
on conflict (id) do update
set choice = excluded.choice, candidates = excluded.candidates, reason = excluded.reason,
    decided_by = excluded.decided_by, confidence = excluded.confidence
"""


async def record_decision(  # noqa: PLR0913 - a row's columns, named at the call
    database: Database,
    *,
    thread_id: str,
    run_id: str,
    step: int,
    kind: DecisionKind,
    choice: str,
    candidates: Sequence[str],
    reason: str,
    decided_by: str = "rule",
    confidence: float | None = None,
    part: int = 0,
) -> None:
    """Record a decision. A step that runs again decides again: its row then tells the newer decision.

    Args:
        database: where the record is.
        thread_id: the thread that the run belongs to.
        run_id: the run that the decision was made in.
        step: the step of the turn, from 1.
        kind: what was decided.
        choice: the candidate that was taken.
        candidates: what was looked at, in order, the choice included.
        reason: why the others were not taken.
        decided_by: `rule`, `model`, or who decided.
        confidence: how sure, from 0 to 1, where that is known.
        part: numbers the decisions of one kind that a step makes.
    """
    values = {
        "id": uuid.uuid5(uuid.NAMESPACE_OID, f"decision|{thread_id}|{run_id}|{step}|{kind}|{part}"),
        "thread_id": thread_id,
        "run_id": run_id,
        "step": step,
        "kind": kind,
        "choice": choice,
        "candidates": Jsonb(list(candidates)),
        "reason": reason,
        "decided_by": decided_by,
        "confidence": confidence,
    }
    async with database.pool.connection() as connection:
        await connection.execute(_RECORD, values)
