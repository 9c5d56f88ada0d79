"""The decisions of a run, noted where they are made and written down beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, LiteralString
from uuid import NAMESPACE_OID, UUID, uuid4, uuid5

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from core.database import Database
from core.errors import TransientError
from core.forgetting_gate import pass_gate
from core.text import stored_json
from core.trace_settings import Content
from observability import names
from observability.contents import kept_decisions
from observability.decisions import DecisionKind
from observability.invocations import Invocation, current_invocation, current_place

_INSERT: LiteralString = """
insert into boring.decision (id, thread_id, run_id, step, kind, choice, candidates, reason, decided_by,
    confidence, decided_at, trace_id, span_id, agent)
select id, thread_id, run_id, step, kind, choice, candidates, reason, decided_by, confidence, decided_at,
    trace_id, span_id, agent
from jsonb_populate_recordset(null::boring.decision, %s::jsonb) as noted
where exists (select from boring.run where run.run_id = noted.run_id)
on conflict (id) do update set choice = excluded.choice, candidates = excluded.candidates,
    reason = excluded.reason, decided_by = excluded.decided_by, confidence = excluded.confidence,
    decided_at = excluded.decided_at, trace_id = excluded.trace_id, span_id = excluded.span_id
"""
"""Nothing is kept of a run that is forgotten."""
_DROP: LiteralString = "delete from boring.decision where id = any(%s)"
_PARTS_AT_ONCE = 16
"""Of how many parts of a step older rows are looked for at once; only of one with more a second time."""
_MOST_CHARS = 500
"""Of a choice or a reason, as they are kept."""
_MOST_HELD_CHARS = 20_000
"""Of one that waits: half a secret would no longer be known as one."""


@dataclass(frozen=True, slots=True)
class Once:
    """Says that a step decides this once: when the step runs again, what it decides then replaces it.

    Attributes:
        place: where in the run the agent works that decides; empty for the one that the user asked.
        part: numbers the decisions of one kind that the step makes, from 0.
    """

    place: str = ""
    part: int = 0


@dataclass(slots=True, eq=False)
class Noted:
    """A decision, as it is written down; see `observability.decisions`.

    Attributes:
        once: the decision replaces that of the same step that it names, and all of later parts.
    """

    tenant: str
    user: str
    thread_id: str
    run_id: str
    once: Once | None
    step: int
    kind: DecisionKind
    choice: str
    candidates: tuple[str, ...]
    reason: str
    decided_by: str
    confidence: float | None
    trace_id: str | None
    span_id: str | None
    agent: str | None
    decided_at: datetime = field(default_factory=lambda: datetime.now(UTC), init=False)
    random_id: UUID | None = field(default=None, init=False)

    @property
    def id(self) -> UUID:
        """The id of its row: the same for what replaces it, and however often it is delivered."""
        if self.once is not None:
            return self.id_of_part(self.once.part)
        self.random_id = self.random_id or uuid4()
        return self.random_id

    @property
    def of_step(self) -> tuple[str, str, int, str, str]:
        """What decisions of one kind have in common that a step makes once."""
        place = self.once.place if self.once else ""
        return (self.thread_id, self.run_id, self.step, self.kind, place)

    def id_of_part(self, part: int) -> UUID:
        """Return the id of the row of another part that the same step decides."""
        *which, place = self.of_step
        return uuid5(NAMESPACE_OID, "|".join(map(str, ("decision", *which, part, place))))


_WRITTEN = tuple(one.name for one in fields(Noted) if one.name not in {"once", "random_id"})
"""Columns that are fields of the same name."""


def note_decision(  # noqa: PLR0913 - a row's columns, named at the call
    kind: DecisionKind,
    choice: str,
    *,
    step: int,
    by: str = "rule",
    reason: str = "",
    candidates: Sequence[str] = (),
    confidence: float | None = None,
    once: Once | None = None,
) -> None:
    """Note a decision of the running step; outside of a traced run nothing is noted.

    Args:
        kind: what is decided.
        choice: the candidate that was taken.
        step: of the turn, from 1; 0 before the first plan.
        by: `rule`, `model`, or which model or person decided.
        reason: why this one.
        candidates: what was looked at, the choice included.
        confidence: how sure, from 0 to 1, where that is known.
        once: for what a step decides once, however often it runs; a step's parts are noted in order.
    """
    part_of = current_invocation()
    if part_of is None:
        return
    part_of.decide(
        Noted(
            *_whose(part_of),
            once=once,
            step=step,
            kind=kind,
            choice=choice[:_MOST_HELD_CHARS],
            candidates=tuple(candidates),
            reason=reason[:_MOST_HELD_CHARS],
            decided_by=by,
            confidence=confidence,
            **current_place(),
        )
    )


def _whose(part_of: Invocation) -> tuple[str, str, str, str]:
    whose = part_of.whose
    return whose[names.TENANT], whose[names.USER], whose.get(names.CONVERSATION, ""), part_of.run_id


class DecisionStore:
    """Writes decisions of one process."""

    def __init__(
        self, database: Database, content_of: Callable[[str], Content] = lambda _: "redacted"
    ) -> None:
        """Make one; `content_of` says how what a tenant's runs decide is kept."""
        self._database = database
        self._content_of = content_of

    async def deliver(self, decisions: Sequence[Noted]) -> None:
        """Store decisions.

        Raises:
            TransientError: the database can't be reached now.
        """
        newest, replaced = _newest(decisions)
        kept = [row for one in newest for row in kept_decisions([_row(one)], self._content_of(one.tenant))]
        for row in kept:
            row |= {name: row[name][:_MOST_CHARS] for name in ("choice", "reason")}
        rows = stored_json(kept)
        try:
            async with self._database.pool.connection() as connection, connection.transaction():
                for tenant, user in sorted({(one.tenant, one.user) for one in decisions}):
                    await pass_gate(connection, tenant, user)
                await connection.execute("select set_config('synchronous_commit', 'off', true)")
                await _drop(connection, replaced)
                await connection.execute(_INSERT, (rows,))
        except psycopg.errors.ProgramLimitExceeded:  # such a row can't be stored later either
            raise
        except psycopg.OperationalError as error:
            raise TransientError(type(error).__name__) from error


def _newest(decisions: Sequence[Noted]) -> tuple[list[Noted], list[tuple[Noted, int]]]:
    """Return the decisions without those that others of them replace, and from which part on steps begin."""
    newest, parts = dict[UUID, Noted](), dict[Any, dict[int, UUID]]()
    begun = dict[Any, tuple[Noted, int]]()
    for one in decisions:
        if one.once is not None:
            held = parts.setdefault(one.of_step, {})
            for part in [part for part in held if part >= one.once.part]:
                newest.pop(held.pop(part), None)
            held[one.once.part] = one.id
            _, first = begun.get(one.of_step, (one, one.once.part))
            begun[one.of_step] = (one, min(first, one.once.part))
        newest[one.id] = one
    return list(newest.values()), list(begun.values())


async def _drop(connection: AsyncConnection[DictRow], replaced: Sequence[tuple[Noted, int]]) -> None:
    """Delete what steps have decided before, from these parts on; a step's parts have no gaps."""
    while replaced:
        ids = [one.id_of_part(part + more) for one, part in replaced for more in range(_PARTS_AT_ONCE)]
        dropped = await connection.execute(_DROP, (ids,))
        if dropped.rowcount < _PARTS_AT_ONCE:  # no step had as many
            return
        replaced = [(one, part + _PARTS_AT_ONCE) for one, part in replaced]


def _row(one: Noted) -> dict[str, Any]:
    return {"id": one.id, **{name: getattr(one, name) for name in _WRITTEN}}
