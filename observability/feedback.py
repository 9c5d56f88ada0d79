"""Feedback on runs: scores, comments and corrections of people, and signals, kept by tenant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from math import isfinite
from typing import Any, Final, Literal, LiteralString
from uuid import UUID

from core.database import Database
from core.errors import InputError
from core.forgetting_gate import pass_gate
from core.tenants import Connection, as_tenant, become
from core.text import storable_text

Source = Literal["user", "operator", "peer", "signal"]
"""The user of the run, who approves or operates, another one, or a sign that somebody was not content."""
Signal = Literal["rephrased", "abandoned", "edited_approval"]
USER_SCORE: Final = "user_score"
"""The key of what is said without naming another one."""
MAX_KEY_CHARS: Final = 100
MAX_BY_CHARS: Final = 500
"""Of the name of who says something: it stands in an index, which takes 2,700 bytes."""
MAX_TEXT_CHARS: Final = 10_000
MAX_KEYS: Final = 20
"""Under how many keys one person may say something of one run."""
_RUN: LiteralString = """
select thread_id, graph, coalesce(context ->> 'user', 'local') as user_id, finished_at from boring.run
where run_id = %(run_id)s and coalesce(context ->> 'tenant', 'local') = %(tenant)s
"""
_CALLED_AS: LiteralString = """
select run_id from boring.span
where attributes ->> 'boring.called_as' = %s and attributes ? 'boring.called_as' limit 1
"""
_OWNER: LiteralString = """
select coalesce(context ->> 'tenant', 'local') as tenant, coalesce(context ->> 'user', 'local') as user_id
from boring.run where run_id = %s
"""
COLUMNS: Final[LiteralString] = """
    id, tenant, user_id, run_id, thread_id, agent, key, score, comment, correction, source, signal, given_by,
    created_at, updated_at
"""
_EARLIER: LiteralString = """
select max(updated_at) as at from boring.feedback where run_id = %(run_id)s and source <> 'signal'
"""
_GIVE: LiteralString = f"""
insert into boring.feedback as feedback
    (tenant, user_id, run_id, thread_id, agent, key, score, comment, correction, source, given_by)
values (%(tenant)s, %(user_id)s, %(run_id)s, %(thread_id)s, %(graph)s, %(key)s, %(score)s, %(comment)s,
    %(correction)s, %(source)s, %(by)s)
on conflict (tenant, run_id, key, given_by) do update set
    score = excluded.score, comment = excluded.comment, correction = excluded.correction,
    source = excluded.source, updated_at = excluded.updated_at
where feedback.source <> 'signal'
returning {COLUMNS}
"""  # noqa: S608 - put together from constants
_KEYS: LiteralString = """
select count(*) as keys from boring.feedback
where run_id = %(run_id)s and given_by = %(by)s and source <> 'signal'
"""
_FOUND: LiteralString = f"""
select {COLUMNS} from boring.feedback
where (%(run_id)s::text is null or run_id = %(run_id)s)
    and (%(user)s::text is null or user_id = %(user)s)
    and (%(agent)s::text is null or agent = %(agent)s)
    and (%(key)s::text is null or key = %(key)s)
    and (%(by)s::text is null or given_by = %(by)s)
    and (%(source)s::text is null or source = %(source)s)
    and (%(signals)s or source <> 'signal')
    and (%(most)s::float is null or score <= %(most)s)
    and (%(since)s::interval is null or updated_at > now() - %(since)s::interval)
order by updated_at desc, id limit %(limit)s
"""  # noqa: S608 - put together from constants
_RATINGS: LiteralString = """
select run_id, score, people, signals from boring.run_rating
where run_id = any(%(runs)s) and (%(tenant)s::text is null or tenant = %(tenant)s)
"""


class NoSuchRunError(InputError):
    """Feedback is about a run that the tenant does not have."""


@dataclass(frozen=True, slots=True)
class NewFeedback:
    """What somebody says of a run; at least one of score, comment and correction.

    Attributes:
        run_id: the run.
        by: who says so. A second time by the same, under the same key, takes the place of the first.
        score: from 0, wholly wrong or thumbs down, to 1, thumbs up.
        comment: why.
        correction: what would have been right.
        key: what is judged.
        is_operator: they approve calls or operate the agents, which whoever takes it in has to know.
    """

    run_id: str
    by: str
    score: float | None = None
    comment: str | None = None
    correction: str | None = None
    key: str = USER_SCORE
    is_operator: bool = False


@dataclass(frozen=True, slots=True)
class Feedback:
    """What was said of a run, or a signal of it.

    Attributes:
        user_id: whose run it is.
        score: 0 to 1; None where none was given. Signals have none, so that they are in no average.
        given_by: who said so; of a signal, what found it.
    """

    id: UUID
    tenant: str
    user_id: str
    run_id: str
    thread_id: str
    agent: str
    key: str
    score: float | None
    comment: str | None
    correction: str | None
    source: Source
    signal: Signal | None
    given_by: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Given:
    """Feedback that is stored now.

    Attributes:
        goes_on: the run was not rated before, or has gone on since: its spans may be left to send.
    """

    feedback: Feedback
    goes_on: bool


@dataclass(frozen=True, slots=True)
class WantedFeedback:
    """Which feedback is looked for; what is unset does not narrow it.

    Attributes:
        user: whose runs.
        by: who said it.
        most: only scores up to this one.
        since: how far back, from the time of the database.
        signals: also signals, which nobody has said.
    """

    run_id: str | None = None
    user: str | None = None
    agent: str | None = None
    key: str | None = None
    by: str | None = None
    source: Source | None = None
    most: float | None = None
    since: timedelta | None = None
    signals: bool = True


@dataclass(frozen=True, slots=True)
class Rating:
    """What was said of a run, in short.

    Attributes:
        score: the mean of what people gave, 0 to 1; None where nobody gave a score. Each counts once, by
            their `user_score`, or where they gave none by the mean of what they gave under other keys.
        people: how many people said something.
        signals: signs that somebody was not content.
    """

    score: float | None = None
    people: int = 0
    signals: tuple[str, ...] = ()


async def store_feedback(database: Database, tenant: str, new: NewFeedback) -> Given:
    """Keep what somebody says of a run of the tenant.

    Raises:
        NoSuchRunError: the tenant has no such run.
        InputError: nothing is said, it is out of range, or the same person has used too many keys.
    """
    values = {"tenant": storable_text(tenant), **_checked(new)}
    async with database.pool.connection() as connection:
        run = await (await connection.execute(_RUN, values)).fetchone()
    if run is None:
        raise NoSuchRunError(f"There is no run {new.run_id!r}. `boring runs` lists the runs.")
    others: Source = "operator" if new.is_operator else "peer"
    values |= {**run, "source": "user" if values["by"] == run["user_id"] else others}
    async with database.pool.connection() as connection, connection.transaction():
        for user in sorted({run["user_id"], values["by"]}):  # what either is about is forgotten with them
            await pass_gate(connection, values["tenant"], user)
        if not (await connection.execute(_RUN, values)).rowcount:
            raise NoSuchRunError(f"The run {new.run_id!r} was forgotten meanwhile.")
        await become(connection, values["tenant"])
        earlier = await (await connection.execute(_EARLIER, values)).fetchone()
        row = await (await connection.execute(_GIVE, values)).fetchone()
        if row and row["created_at"] == row["updated_at"]:
            await _keep_to_keys(connection, values)
    if row is None:
        raise InputError(
            f"{new.by!r} is the name of what finds signals, and {new.key!r} its key. Give another key."
        )
    before, ended = earlier and earlier["at"], run["finished_at"]
    return Given(Feedback(**row), goes_on=before is None or ended is None or ended > before)


async def _keep_to_keys(connection: Connection, values: Mapping[str, Any]) -> None:
    """Refuse a key too many, once it is written: until then others who write of the run are not waited for.

    Raises:
        InputError: the same person has said something of the run under as many keys as one may.
    """
    row = await (await connection.execute(_KEYS, values)).fetchone()
    if row and row["keys"] > MAX_KEYS:
        raise InputError(
            f"{values['by']!r} has said something of this run under {MAX_KEYS} keys, the most there may be:"
            f" {values['key']!r} is one too many. Give a key that you have used, which replaces what it said."
        )


async def run_called_as(database: Database, given: str) -> str:
    """Return the id of the run that a caller knows under an id of their own, else the same id.

    A run that waited for a person goes on in a call of its own, to which a server gives another id.
    """
    async with database.pool.connection() as connection:
        row = await (await connection.execute(_CALLED_AS, (storable_text(given),))).fetchone()
    return row["run_id"] if row else storable_text(given)


async def owner_of_run(database: Database, run_id: str) -> tuple[str, str]:
    """Return whose run it is, the tenant and the user; both are empty where there is none."""
    async with database.pool.connection() as connection:
        row = await (await connection.execute(_OWNER, (storable_text(run_id),))).fetchone()
    return (row["tenant"], row["user_id"]) if row else ("", "")


async def feedback_found(
    database: Database, tenant: str, wanted: WantedFeedback, *, limit: int = 100
) -> list[Feedback]:
    """Return feedback on a tenant's runs, the newest first."""
    async with as_tenant(database, tenant) as connection:
        rows = await (await connection.execute(_FOUND, {**asdict(wanted), "limit": limit})).fetchall()
    return [Feedback(**row) for row in rows]


async def ratings_of(database: Database, tenant: str | None, run_ids: Sequence[str]) -> dict[str, Rating]:
    """Return what was said of runs of a tenant, of any if None, for those of which anything was said."""
    values = {"runs": list(run_ids), "tenant": tenant}
    async with database.pool.connection() as connection:
        rows = await (await connection.execute(_RATINGS, values)).fetchall()
    return {
        row["run_id"]: Rating(row["score"], row["people"], tuple(dict.fromkeys(row["signals"])))
        for row in rows
    }


def _checked(new: NewFeedback) -> dict[str, Any]:
    """Return the columns of what is said.

    Raises:
        InputError: see `store_feedback`.
    """
    texts = {name: _text(name, getattr(new, name)) for name in ("comment", "correction")}
    key, by = storable_text(new.key).strip(), storable_text(new.by).strip()
    if not 0 < len(key) <= MAX_KEY_CHARS:
        raise InputError(f"The key {new.key!r} has {len(key)} characters. Give 1 to {MAX_KEY_CHARS}.")
    if not by:
        raise InputError("Nobody says so: `by` is empty. Name who gives the feedback.")
    if len(by) > MAX_BY_CHARS:
        raise InputError(f"The name of who says so has {len(by)} characters. Give {MAX_BY_CHARS} at most.")
    if new.score is not None and not (isfinite(new.score) and 0 <= new.score <= 1):
        raise InputError(f"The score is {new.score}. Give one from 0 (thumbs down) to 1 (thumbs up).")
    if new.score is None and not any(texts.values()):
        raise InputError("Nothing is said of the run. Give a score, a comment or a correction.")
    return {"run_id": storable_text(new.run_id), "key": key, "by": by, "score": new.score, **texts}


def _text(name: str, text: str | None) -> str | None:
    told = storable_text(text or "").strip()
    if len(told) > MAX_TEXT_CHARS:
        raise InputError(f"The {name} has {len(told)} characters. Give {MAX_TEXT_CHARS} at most.")
    return told or None
