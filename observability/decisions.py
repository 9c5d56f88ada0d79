"""The record of decisions that no model's message shows, such as which model was asked instead."""

import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal

from psycopg.types.json import Jsonb

from core.database import Database
from observability.contents import Content, kept_decisions
from observability.invocations import current_place

DecisionKind = Literal[
    "plan",
    "delegate",
    "tool",
    "refused",
    "retry",
    "fallback",
    "route",
    "rule_applied",
    "rule_left_out",
    "memory_used",
    "folded",
    "asked",
    "approved",
    "stopped",
    "answered",
]
"""What is decided: `plan`, what comes next; `delegate`, which agent works; `tool`, which tool was run;
`refused`, that a call was not made; `retry`, that it was tried again; `fallback`, another model answered than
the first in line; `route`, who gets a request; `rule_applied`, which rules a step was told; `rule_left_out`,
for which rules it had no room; `memory_used`, what the model was told of what is known, by the ids of the
memories; `folded`, which messages the model sees as a summary; `asked`, that a person is; `approved`, that
one agreed; `stopped`, that the turn ends without an answer; `answered`, that it has one."""
_RECORD = """
insert into boring.decision (id, thread_id, run_id, step, kind, choice, candidates, reason, decided_by,
                             confidence, trace_id, span_id, agent)
values (%(id)s, %(thread_id)s, %(run_id)s, %(step)s, %(kind)s, %(choice)s, %(candidates)s, %(reason)s,
        %(decided_by)s, %(confidence)s, %(trace_id)s, %(span_id)s, %(agent)s)
on conflict (id) do update
set choice = excluded.choice, candidates = excluded.candidates, reason = excluded.reason,
    decided_by = excluded.decided_by, confidence = excluded.confidence, trace_id = excluded.trace_id,
    span_id = excluded.span_id
"""
_DROP = "delete from boring.decision where id = any(%s)"
_MOST_PARTS = 16


@dataclass(frozen=True, slots=True)
class Decision:
    """A decision, as it is recorded.

    Attributes:
        thread_id: the thread that the run belongs to.
        run_id: the run that the decision was made in.
        step: the step of the turn, from 1.
        kind: what was decided.
        choice: the candidate that was taken.
        candidates: what was looked at, in order, the choice included.
        reason: why this one, or why the others were not taken.
        decided_by: `rule`, `model`, or who decided.
        confidence: how sure, from 0 to 1, where that is known.
        part: numbers the decisions of one kind that a step makes, from 0.
        place: where in the run the agent works that decides; empty for the one that the user asked.
    """

    thread_id: str
    run_id: str
    step: int
    kind: DecisionKind
    choice: str
    candidates: Sequence[str]
    reason: str
    decided_by: str = "rule"
    confidence: float | None = None
    part: int = 0
    place: str = ""


async def record_decisions(
    database: Database, decisions: Sequence[Decision], content: Content = "redacted"
) -> None:
    """Record what a step decided of one kind. A step that runs again decides again: only that is on record.

    Args:
        database: where.
        decisions: all of the step's, at least one, numbered by `part`; all else that names them they share.
        content: how the choice, the candidates and the reason are kept, see `observability.contents`.
    """
    here = current_place()
    kept = kept_decisions([asdict(one) for one in decisions], content)
    rows = [
        {**row, "id": _identity(one), "candidates": Jsonb(row["candidates"]), **here}
        for row, one in zip(kept, decisions, strict=True)
    ]
    async with database.pool.connection() as connection, connection.transaction():
        further = range(len(decisions), _MOST_PARTS)
        await connection.execute(_DROP, ([_identity(replace(decisions[0], part=part)) for part in further],))
        for row in rows:
            await connection.execute(_RECORD, row)


def _identity(decision: Decision) -> uuid.UUID:
    names = (decision.thread_id, decision.run_id, decision.step, decision.kind, decision.part, decision.place)
    return uuid.uuid5(uuid.NAMESPACE_OID, "|".join(["decision", *map(str, names)]))
