"""Signs in the record of runs that somebody was not content: looked for beside the runs, never in them.

A run is `rephrased` where the next question of its thread asks nearly the same in other words, and
`abandoned` where it has waited for a person for a day, or its user has gone on with something else. It is a
sign and no judgement: nobody was asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, LiteralString

from core.database import Database
from core.forgetting_gate import pass_gate
from core.tenants import as_tenant, become
from observability.feedback import Signal

ALIKE: Final = 0.5
"""From which likeness on a question counts as the same one in other words, see `tests`: measured on pairs."""
LEFT_AFTER: Final = timedelta(hours=24)
"""How long a run may wait for a person before it counts as left."""
LOOKED_BACK: Final = timedelta(days=7)
FOUND_BY: Final = " boring"
"""Nobody's name: those of people begin with no space, see `observability.feedback`."""
_SOON: Final = timedelta(hours=1)
"""A question that comes later is a new one."""
_NEXT: LiteralString = """
select * from (
    select run_id, thread_id, graph, question, started_at,
        coalesce(context ->> 'tenant', 'local') as tenant, coalesce(context ->> 'user', 'local') as user_id,
        lead(question) over thread as next, lead(started_at) over thread as next_at,
        turn_id = lead(turn_id) over thread as is_same_turn
    from boring.run
    where thread_id <> '' and question <> '' and started_at > now() - %(since)s::interval
    window thread as (
        partition by thread_id, context ->> 'tenant', context ->> 'user' order by started_at, run_id)
) as run where next is not null and next_at - started_at < %(soon)s and is_same_turn is not true
"""
"""Agents of a graph that is not recorded have a run each for the same message: nobody has asked twice."""
_LEFT: LiteralString = """
select run_id, thread_id, graph, coalesce(context ->> 'tenant', 'local') as tenant,
    coalesce(context ->> 'user', 'local') as user_id
from boring.run
where status = 'interrupted' and finished_at is null and started_at > now() - %(since)s::interval - %(left)s
    and (greatest(started_at, (
            select max(created_at) from boring.approval where approval.run_id = run.run_id
        )) < now() - %(left)s
        or exists (
            select from boring.run as later where later.thread_id = run.thread_id and run.thread_id <> ''
                and later.context ->> 'tenant' is not distinct from run.context ->> 'tenant'
                and later.context ->> 'user' is not distinct from run.context ->> 'user'
                and later.started_at > run.started_at and later.question <> ''))
"""
_ADD: LiteralString = """
insert into boring.feedback (tenant, user_id, run_id, thread_id, agent, key, source, signal, given_by)
select %(tenant)s, %(user_id)s, %(run_id)s, %(thread_id)s, %(graph)s, %(signal)s, 'signal', %(signal)s, %(by)s
where not exists (select from boring.feedback where run_id = %(run_id)s and signal = %(signal)s)
on conflict (tenant, run_id, key, given_by) do nothing
"""
_WENT_ON: LiteralString = """
delete from boring.feedback where signal = 'abandoned' and run_id = any(%s)
"""
_ENDED: LiteralString = """
select run_id, coalesce(context ->> 'tenant', 'local') as tenant from boring.run
where finished_at > now() - %(since)s::interval and started_at < finished_at - %(left)s
"""
_RUN: LiteralString = """
select run_id, thread_id, graph, coalesce(context ->> 'tenant', 'local') as tenant,
    coalesce(context ->> 'user', 'local') as user_id
from boring.run where run_id = %s
"""
_WORD: Final = re.compile(r"\w+")
_EMPTY: Final = frozenset(
    {
        *("a", "an", "and", "are", "as", "at", "be", "can", "could", "did", "do", "does", "for", "from"),
        *("give", "had", "has", "have", "how", "i", "in", "is", "it", "me", "my", "of", "on", "or"),
        *("please", "show", "tell", "that", "the", "their", "there", "they", "this", "to", "us", "was"),
        *("we", "were", "what", "when", "where", "which", "who", "why", "will", "with", "would", "you"),
        *("your", "again", "no", "not", "mean", "meant", "s"),
    }
)
"""Words that say nothing of what is asked."""
_STEM: Final = 5
"""Words count as the same if their first letters are."""


@dataclass(frozen=True, slots=True)
class SignalsFound:
    """How many signals a look has added."""

    rephrased: int
    abandoned: int


async def find_signals(
    database: Database, *, since: timedelta = LOOKED_BACK, left_after: timedelta = LEFT_AFTER
) -> SignalsFound:
    """Look for runs whose user asked again in other words, or left them waiting, and keep what is found.

    A run that has gone on after all is no longer abandoned.

    Args:
        database: holds runs and feedback.
        since: how far back runs are looked at.
        left_after: how long a run may wait.
    """
    times = {"since": since, "left": left_after, "soon": _SOON}
    async with database.pool.connection() as connection:
        pairs = await (await connection.execute(_NEXT, times)).fetchall()
        left = await (await connection.execute(_LEFT, times)).fetchall()
        ended = await (await connection.execute(_ENDED, times)).fetchall()
    for tenant, rows in _by_tenant(ended):
        async with as_tenant(database, tenant) as connection:
            await connection.execute(_WENT_ON, ([row["run_id"] for row in rows],))
    said_again = [row for row in pairs if likeness(row["question"], row["next"]) >= ALIKE]
    return SignalsFound(
        await _added(database, "rephrased", said_again), await _added(database, "abandoned", left)
    )


async def note_signal(database: Database, run_id: str, signal: Signal) -> bool:
    """Keep a signal of a run; return whether it is new."""
    async with database.pool.connection() as connection:
        row = await (await connection.execute(_RUN, (run_id,))).fetchone()
    return bool(row and await _added(database, signal, [row]))


def likeness(one: str, other: str) -> float:
    """Return how much of what two questions are about is the same, from 0 to 1.

    It is the share of the words of both that stand in both, by their first letters and without words that say
    nothing (Jaccard's index); numbers count whole, and questions with unlike numbers are not alike.
    """
    first, second = _words(one), _words(other)
    if {word for word in first if word[0].isdigit()} != {word for word in second if word[0].isdigit()}:
        return 0.0
    both = first | second
    return len(first & second) / len(both) if both else 0.0


def _words(text: str) -> frozenset[str]:
    words = (word.lower() for word in _WORD.findall(text[:2000]))
    return frozenset(word if word[0].isdigit() else word[:_STEM] for word in words if word not in _EMPTY)


async def _added(database: Database, signal: Signal, rows: Iterable[dict[str, Any]]) -> int:
    """Keep a signal of runs, unless they or their user are forgotten meanwhile; return how many are new."""
    added = 0
    for row in rows:
        async with database.pool.connection() as connection, connection.transaction():
            await pass_gate(connection, row["tenant"], row["user_id"])
            if (await connection.execute(_RUN, (row["run_id"],))).rowcount:
                await become(connection, row["tenant"])
                values = {**row, "signal": signal, "by": FOUND_BY}
                added += (await connection.execute(_ADD, values)).rowcount
    return added


def _by_tenant(rows: Iterable[dict[str, Any]]) -> list[tuple[str, list[dict[str, Any]]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(row["tenant"], []).append(row)
    return list(found.items())
