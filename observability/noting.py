"""The decisions of a run, noted where they are made and written down beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import LiteralString

import orjson
import psycopg

from core.database import Database
from core.errors import TransientError
from core.forgetting_gate import pass_gate
from observability import names
from observability.contents import Content, kept_decisions
from observability.decisions import DecisionKind
from observability.invocations import current_invocation, current_place

_INSERT: LiteralString = """
insert into boring.decision (id, thread_id, run_id, step, kind, choice, candidates, reason, decided_by,
    decided_at, trace_id, span_id, agent)
select gen_random_uuid(), thread_id, run_id, step, kind, choice, candidates, reason, decided_by, decided_at,
    trace_id, span_id, agent
from jsonb_populate_recordset(null::boring.decision, %s::jsonb) as noted
where exists (select from boring.run where run.run_id = noted.run_id)
"""
"""Nothing is kept of a run that is forgotten."""
_MOST_CHARS = 500
"""Of a choice or a reason, as they are kept."""
_MOST_HELD_CHARS = 20_000
"""Of one that waits: half a secret would no longer be known as one."""


@dataclass(frozen=True, slots=True)
class Noted:
    """A decision, as it is written down; see `observability.decisions`."""

    tenant: str
    user: str
    thread_id: str
    run_id: str
    step: int
    kind: DecisionKind
    choice: str
    candidates: tuple[str, ...]
    reason: str
    decided_by: str
    decided_at: datetime
    trace_id: str | None
    span_id: str | None
    agent: str | None


def note_decision(  # noqa: PLR0913 - a row's columns, named at the call
    kind: DecisionKind,
    choice: str,
    *,
    step: int,
    by: str = "rule",
    reason: str = "",
    candidates: Sequence[str] = (),
) -> None:
    """Note a decision of the running step; outside of a traced run nothing is noted.

    Args:
        kind: what is decided.
        choice: the candidate that was taken.
        step: of the turn, from 1; 0 before the first plan.
        by: `rule`, `model`, or which model or person decided.
        reason: why this one.
        candidates: what was looked at, the choice included.
    """
    part_of = current_invocation()
    if part_of is None:
        return
    whose, here = part_of.whose, current_place()
    noted = Noted(
        tenant=whose[names.TENANT],
        user=whose[names.USER],
        thread_id=whose.get(names.CONVERSATION, ""),
        run_id=part_of.run_id,
        step=step,
        kind=kind,
        choice=choice[:_MOST_HELD_CHARS],
        candidates=tuple(candidates),
        reason=reason[:_MOST_HELD_CHARS],
        decided_by=by,
        decided_at=datetime.now(UTC),
        **here,
    )
    part_of.decide(noted)


class DecisionStore:
    """Writes decisions of one process."""

    def __init__(self, database: Database, content: Content = "redacted") -> None:
        self._database = database
        self._content: Content = content

    async def deliver(self, decisions: Sequence[Noted]) -> None:
        """Store decisions.

        Raises:
            TransientError: the database can't be reached now.
        """
        kept = kept_decisions([asdict(one) for one in decisions], self._content)
        for row in kept:
            row |= {name: row[name][:_MOST_CHARS] for name in ("choice", "reason")}
        rows = orjson.dumps(kept).decode()
        try:
            async with self._database.pool.connection() as connection, connection.transaction():
                for tenant, user in sorted({(one.tenant, one.user) for one in decisions}):
                    await pass_gate(connection, tenant, user)
                await connection.execute("select set_config('synchronous_commit', 'off', true)")
                await connection.execute(_INSERT, (rows,))
        except psycopg.OperationalError as error:
            raise TransientError(type(error).__name__) from error
