"""The decisions of a run, in order, as sentences."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, LiteralString

from core.database import Database
from observability.decisions import NO_PERSONS
from observability.plan_choices import ANSWER, names_in

_OF_RUN: LiteralString = """
select kind, choice, candidates, reason, decided_by, confidence, step, agent, decided_at, trace_id, span_id
from boring.decision where run_id = %s order by decided_at, step, id limit %s
"""


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """A decision as it is kept; see `observability.decisions` for the kinds.

    Attributes:
        agent: which decided; None in rows of before.
        span_id: the span in which it was made.
    """

    kind: str
    choice: str
    candidates: list[str]
    reason: str
    decided_by: str
    confidence: float | None
    step: int | None
    agent: str | None
    decided_at: datetime
    trace_id: str | None
    span_id: str | None


async def decisions_of_run(database: Database, run_id: str, most: int | None = None) -> list[DecisionRow]:
    """Return what a run has decided, the first decision first, `most` at most."""
    async with database.pool.connection() as connection:
        rows = await (await connection.execute(_OF_RUN, (run_id, most))).fetchall()
    return [DecisionRow(**row) for row in rows]


def sentences(decisions: Iterable[DecisionRow]) -> list[str]:
    """Return a plain sentence for each decision."""
    told: list[str] = []
    for one in decisions:
        tell = _TELL.get(one.kind)
        said = tell(one) if tell else f"{one.kind}: {one.choice}"
        told.append(f"{one.agent}: {said}" if one.agent else said)
    return told


def _plan(one: DecisionRow) -> str:
    if one.choice == ANSWER:
        return f"In step {one.step} {one.decided_by} answered."
    others = [name for name in one.candidates if name not in {ANSWER, *names_in(one.choice)}]
    among = f", and not {_listed(others)}" if others else ""
    return f"In step {one.step} {one.decided_by} planned to call {one.choice}{among}."


def _tool(one: DecisionRow) -> str:
    person = "" if one.decided_by in NO_PERSONS else one.decided_by
    if person and one.reason == "stopped":
        return f"Whether the tool {one.choice} was run to its end is not known: {person} stopped the run."
    return f"The tool {one.choice} was run: {_ended(one.reason)}{person and f', as {person} says'}."


def _delegate(one: DecisionRow) -> str:
    return f"The agent {one.choice} was given work: {_ended(one.reason)}."


def _refused(one: DecisionRow) -> str:
    by = "" if one.decided_by in NO_PERSONS else f" by {one.decided_by}"
    return f"The call of {one.choice} was not made: {one.reason.rstrip('.')}{by}."


def _retry(one: DecisionRow) -> str:
    if one.candidates:
        return f"In step {one.step} {one.choice} was asked again: {one.reason}."
    return f"The call of {one.choice} was tried again: {one.reason}."


def _fallback(one: DecisionRow) -> str:
    if one.choice not in one.candidates:
        return f"In step {one.step} no model answered: {one.reason}."
    return f"In step {one.step} {one.choice} stood in: {one.reason}."


def _breaker(one: DecisionRow) -> str:
    return f"The circuit breaker of the {one.choice.replace(':', ' ', 1)} {one.reason}."


def _route(one: DecisionRow) -> str:
    sure = "" if one.confidence is None else f" ({one.confidence:.0%} sure)"
    others = [name for name in one.candidates if name != one.choice]
    among = f", and not to {_listed(others, 'or')}" if others else ""
    why = f": {one.reason.rstrip('.')}" if one.reason else ""
    return f"The request went to {one.choice}{among}, by a {one.decided_by}{sure}{why}."


def _rules(one: DecisionRow) -> str:
    return f"In step {one.step} the model was told the rules {_listed(one.candidates)}."


def _rules_left_out(one: DecisionRow) -> str:
    return f"In step {one.step} there was no room for the rules {_listed(one.candidates)}: {one.reason}."


def _memory(one: DecisionRow) -> str:
    return f"The model was told what is known of the user: {one.reason}."


def _trimmed(one: DecisionRow) -> str:
    return f"In step {one.step} the model was not shown all of the conversation, {one.reason}: {one.choice}."


def _folded(one: DecisionRow) -> str:
    return f"The messages {one.choice} became a summary by {one.decided_by}, for {one.reason}."


def _asked(one: DecisionRow) -> str:
    what = "approval of" if one.reason == "approval" else "what became of"
    return f"A person was asked for {what} the call of {one.choice}."


def _approved(one: DecisionRow) -> str:
    how = f", {one.reason}" if one.reason else ""
    return f"{one.decided_by} agreed to the call of {one.choice}{how}."


def _stopped(one: DecisionRow) -> str:
    return f"The run ended without an answer ({one.choice}): {one.reason.rstrip('.')}."


def _answered(one: DecisionRow) -> str:
    return f"The run ended with an answer{f' {one.reason}' if one.reason else ''}."


def _ended(outcome: str) -> str:
    return "it went well" if outcome == "ok" else f"it ended as {outcome}"


def _listed(names: Iterable[str], word: str = "and") -> str:
    *most, last = [*names] or ["none"]
    return f"{', '.join(most)} {word} {last}" if most else last


_TELL: Final[dict[str, Callable[[DecisionRow], str]]] = {
    "plan": _plan,
    "tool": _tool,
    "delegate": _delegate,
    "refused": _refused,
    "retry": _retry,
    "fallback": _fallback,
    "breaker": _breaker,
    "route": _route,
    "rule_applied": _rules,
    "rule_left_out": _rules_left_out,
    "memory_used": _memory,
    "trimmed": _trimmed,
    "folded": _folded,
    "asked": _asked,
    "approved": _approved,
    "stopped": _stopped,
    "answered": _answered,
}
