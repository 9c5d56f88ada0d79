"""What the log of tool calls tells: which calls there were, what became of one, how each tool does."""

from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, LiteralString

from core.database import Database

_MATCHING: LiteralString = """
    (%(tool)s::text is null or tool = %(tool)s)
    and (%(run_id)s::text is null or run_id = %(run_id)s)
    and (%(thread_id)s::text is null or thread_id = %(thread_id)s)
    and (%(outcome)s::text is null or outcome = %(outcome)s)
    and (%(call_id)s::text is null or call_id = %(call_id)s)
    and (%(since)s::interval is null or started_at > now() - %(since)s::interval)
"""
_LOGGED: LiteralString = """
    select thread_id, run_id, step, call_id, tool, effect, arguments, attempt, outcome, result, error,
           latency_ms, started_at, finished_at, key, coalesce(replayed, false) as replayed, approved_by
    from boring.tool_call
"""
_RECENT: LiteralString = f"{_LOGGED} where {_MATCHING} order by started_at desc, id limit %(limit)s"
# A call that waits for a person, or whose process was killed, stands in the journal alone.
_NAMED: LiteralString = f"""
with known as ({_LOGGED} where call_id = %(call_id)s
    union all
    select thread_id, run_id, null, call_id, tool, effect, arguments, attempt, null, null, null,
           null, intended_at, null, key, false, null
    from boring.effect
    where call_id = %(call_id)s and not exists (
        select from boring.tool_call logged where logged.call_id = %(call_id)s and logged.key = effect.key))
select * from known where {_MATCHING} order by started_at desc
"""  # noqa: S608 - put together from constants
_FIGURES: LiteralString = """
with counted as (
    select tool, effect, outcome, latency_ms, started_at,
           outcome in ('ok', 'error', 'timeout', 'unknown') and not coalesce(replayed, false)
           and not (outcome = 'ok' and coalesce(attempt, 1) = 0) -- a person answered in the tool's stead
           and not exists (select from boring.effect settled
                           where settled.key = tool_call.key and settled.resolved_by is not null) as was_run
    from boring.tool_call
    where %(since)s::interval is null or started_at > now() - %(since)s::interval
)
select tool,
       (array_agg(effect order by started_at desc) filter (where effect is not null))[1] as effect,
       count(*) as calls,
       count(*) filter (where was_run) as runs,
       count(*) filter (where was_run and outcome <> 'ok') as errors,
       percentile_cont(0.5) within group (order by latency_ms) filter (where was_run) as p50_ms,
       percentile_cont(0.95) within group (order by latency_ms) filter (where was_run) as p95_ms
from counted group by tool order by tool
"""
_JOURNALED: LiteralString = """
select key, effect, outcome, attempt, idempotency_key, intended_at, finished_at, resolved_by
from boring.effect where key = %s
"""
_ASKED: LiteralString = """
select kind, attempt, payload, asked_at, answer, answered_by, answered_at
from boring.question where key = %s order by asked_at, attempt
"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which calls are looked for; what is unset does not narrow them.

    Attributes:
        since: how far back, from the time of the database.
    """

    tool: str | None = None
    run_id: str | None = None
    thread_id: str | None = None
    outcome: str | None = None
    call_id: str | None = None
    since: timedelta | None = None


@dataclass(frozen=True, slots=True)
class LoggedCall:
    """A call as it is recorded.

    Attributes:
        outcome: None for a call that was begun and is not over, as the journal knows it.
        attempt: attempts made.
        result: what the model was shown, where it went well.
        key: the name of the action in the journal; None for what has no effect.
        replayed: the outcome was found in the journal; the tool was not run.
    """

    call_id: str
    thread_id: str
    run_id: str | None
    step: int | None
    tool: str
    effect: str | None
    arguments: dict[str, Any]
    attempt: int
    outcome: str | None
    result: str | None
    error: str | None
    latency_ms: float | None
    started_at: datetime
    finished_at: datetime | None
    key: str | None
    replayed: bool
    approved_by: str | None


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """What the journal holds of a call.

    Attributes:
        outcome: None while nobody knows how it ended.
        attempt: how often the call was meant to be made.
        resolved_by: who settled a doubt.
    """

    key: str
    effect: str
    outcome: str | None
    attempt: int
    idempotency_key: str
    intended_at: datetime
    finished_at: datetime | None
    resolved_by: str | None


@dataclass(frozen=True, slots=True)
class AskedQuestion:
    """What a person was asked of a call, and what they said; unanswered, `answer` is None."""

    kind: str
    attempt: int
    payload: dict[str, Any]
    asked_at: datetime
    answer: dict[str, Any] | None
    answered_by: str | None
    answered_at: datetime | None


@dataclass(frozen=True, slots=True)
class ToolFigures:
    """How a tool has done.

    Attributes:
        effect: as the newest call had it; None where there never was such a tool.
        calls: all of them.
        runs: those for which the tool was run and which it brought to an end itself: neither refused or
            invalid, nor found in the journal, nor settled by a person.
        errors: those of `runs` that ended in `error`, `timeout` or `unknown`.
        p50_ms: median of what `runs` took, with all attempts and waiting; None without any.
        p95_ms: the time that 95 % of them stayed below.
    """

    tool: str
    effect: str | None
    calls: int
    runs: int
    errors: int
    p50_ms: float | None
    p95_ms: float | None

    @property
    def error_rate(self) -> float | None:
        """The share of `runs` that failed, 0 to 1; None without any."""
        return self.errors / self.runs if self.runs else None


async def recent_calls(database: Database, wanted: Wanted, *, limit: int) -> list[LoggedCall]:
    """Return the newest calls that are over, newest first, at most `limit`."""
    rows = await _rows(database, _RECENT, {**_values(wanted), "limit": limit})
    return [LoggedCall(**row) for row in rows]


async def calls_named(database: Database, wanted: Wanted) -> list[LoggedCall]:
    """Return the calls of one id, over or not, newest first; a forked thread makes a call once more."""
    return [LoggedCall(**row) for row in await _rows(database, _NAMED, _values(wanted))]


async def journaled(database: Database, key: str) -> tuple[JournalEntry | None, list[AskedQuestion]]:
    """Return what the journal holds of an action, and what was asked of it, oldest question first."""
    entries = await _rows(database, _JOURNALED, (key,))
    asked = await _rows(database, _ASKED, (key,))
    return (JournalEntry(**entries[0]) if entries else None), [AskedQuestion(**row) for row in asked]


async def tool_figures(database: Database, *, since: timedelta | None = None) -> list[ToolFigures]:
    """Return how each tool in the log has done, by name."""
    return [ToolFigures(**row) for row in await _rows(database, _FIGURES, {"since": since})]


def _values(wanted: Wanted) -> dict[str, Any]:
    return {field.name: getattr(wanted, field.name) for field in fields(wanted)}


async def _rows(database: Database, statement: LiteralString, values: Any) -> list[dict[str, Any]]:
    async with database.pool.connection() as connection:
        return await (await connection.execute(statement, values)).fetchall()
