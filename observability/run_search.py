"""Which runs there are, looked for by an index whatever is asked, and page by page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final, Literal, LiteralString

from psycopg.sql import SQL, Composed

from core.database import Database
from observability import names
from observability.trace_log import Rated, RunFigures, RunStatus, SpanRow, WantedRuns

_COLUMNS: LiteralString = """
select run_id, thread_id, graph, status, reason, question, started_at, finished_at,
    coalesce(context ->> 'tenant', 'local') as tenant, coalesce(context ->> 'user', 'local') as user_id,
    case when unpriced = 0 then cost_usd end as cost_usd, coalesce(model_calls, 0) as model_calls
from boring.run left join boring.run_cost using (run_id) left join boring.run_rating using (run_id)
"""
_STATUSES: LiteralString = """
select run_id, status, started_at
from boring.run left join boring.run_cost using (run_id) left join boring.run_rating using (run_id)
where {} order by {} limit %(limit)s
"""
_CONDITIONS: Final[Mapping[str, LiteralString]] = {
    "agent": "graph = %(agent)s",
    "user": "coalesce(context ->> 'user', 'local') = %(user)s",
    "tenant": "coalesce(context ->> 'tenant', 'local') = %(tenant)s",
    "thread_id": "thread_id = %(thread_id)s",
    "status": "status = %(status)s",
    "run_id": "run_id = %(run_id)s",
    "run_ids": "run_id = any(%(run_ids)s)",
    "run_begins": "starts_with(run_id, %(run_begins)s)",
    "since": "started_at > now() - %(since)s::interval",
    "least_usd": "unpriced = 0 and cost_usd >= %(least_usd)s",
    "most_usd": "unpriced = 0 and cost_usd <= %(most_usd)s",
    "priced": "unpriced is not null and (unpriced = 0) = %(priced)s",
}
_RATED: Final[Mapping[Rated, LiteralString]] = {
    "rated": "run_rating.score is not null",
    "liked": "run_rating.score >= 0.5",
    "disliked": "run_rating.score < 0.5",
    "comment": "run_rating.comments > 0",
    "signal": "run_rating.signals <> '{}'",
    "rephrased": "'rephrased' = any(run_rating.signals)",
    "abandoned": "'abandoned' = any(run_rating.signals)",
    "edited_approval": "'edited_approval' = any(run_rating.signals)",
}
Order = Literal["newest", "dearest"]
"""In which runs are listed; of equal ones, by their ids."""
_ORDERS: Final[Mapping[Order, LiteralString]] = {
    "newest": "started_at desc, run_id",
    "dearest": "run_cost.cost_usd desc, run_id",
}
_NEWEST_RATED: LiteralString = "run_rating.began_at desc, run_rating.run_id"
"""The same as the newest, by the indexes of what was said: those of which it was said may all be old."""
_BEHIND: Final[Mapping[Order, LiteralString]] = {
    "newest": "started_at <= %(at)s and (started_at < %(at)s or run_id > %(last)s)",
    "dearest": "cost_usd <= %(at)s and (cost_usd < %(at)s or run_id > %(last)s)",
}
_NEWEST_OF_THREAD: LiteralString = """
not exists (
    select from boring.run as later where later.thread_id = run.thread_id
        and coalesce(later.context ->> 'tenant', 'local') = coalesce(run.context ->> 'tenant', 'local')
        and (later.started_at, later.run_id) > (run.started_at, run.run_id))
"""
_TAKEN: LiteralString = """
select run_id,
    sum(duration_ms) filter (where operation = 'invoke_agent' and parent_id is null) as duration_ms,
    sum(input_tokens) filter (where operation = 'chat') as input_tokens,
    sum(output_tokens) filter (where operation = 'chat') as output_tokens
from boring.span where run_id = any(%(runs)s) and started_at >= %(since)s group by run_id
"""
_SPANS: LiteralString = """
select trace_id, span_id, parent_id, name, operation, agent, step, tool, model, provider, run_id, thread_id,
    started_at, duration_ms, status, outcome, error_type, input_tokens, output_tokens, cached_tokens,
    reasoning_tokens, cost_usd,
    case when %(content)s then attributes else attributes - %(said)s::text[] end as attributes, events, links
from boring.span where run_id = %(run)s and started_at >= %(since)s
order by started_at, operation = 'invoke_agent' desc limit %(limit)s
"""
_CONTENT: LiteralString = """
select attributes from boring.span
where trace_id = %(trace)s and span_id = %(span)s and started_at = %(at)s
"""
_OTHERS_ON_THREAD: LiteralString = """
select from boring.run
where thread_id = %(thread)s and coalesce(context ->> 'tenant', 'local') <> %(tenant)s limit 1
"""
_SLACK = timedelta(minutes=5)
"""A span can begin before the row of its run, by other clocks."""


async def runs_found(  # noqa: PLR0913 - each says which of the runs
    database: Database,
    wanted: WantedRuns,
    *,
    limit: int,
    by: Order = "newest",
    behind: tuple[datetime | Decimal, str] | None = None,
    newest_of_thread: bool = False,
) -> list[RunFigures]:
    """Return runs with what they took.

    Args:
        database: holds them.
        wanted: which.
        limit: most of them.
        by: their order; `dearest` lists those of known cost only.
        behind: only what stands behind this run in that order: when it began or what it cost, and its id.
        newest_of_thread: only the last run of each thread of a tenant.
    """
    values, conditions = _narrowed(wanted)
    if by == "dearest":
        conditions.append(SQL("unpriced = 0"))
    if behind is not None:
        values["at"], values["last"] = behind
        conditions.append(SQL(_BEHIND[by]))
    if newest_of_thread:
        conditions.append(SQL(_NEWEST_OF_THREAD))
    where = SQL("where {} order by {} limit %(limit)s")
    order = SQL(_NEWEST_RATED if wanted.rated and by == "newest" else _ORDERS[by])
    statement = SQL(_COLUMNS) + where.format(SQL(" and ").join(conditions), order)
    rows = await _rows(database, statement, {**values, "limit": limit})
    if not rows:
        return []
    oldest = min(row["started_at"] for row in rows)
    asked = {"runs": [row["run_id"] for row in rows], "since": oldest - _SLACK}
    taken = {row["run_id"]: row for row in await _rows(database, _TAKEN, asked)}
    return [_figures(row, taken.get(row["run_id"], {})) for row in rows]


async def statuses_found(database: Database, wanted: WantedRuns, *, limit: int) -> list[RunStatus]:
    """Return how the newest runs stand, newest first, which is quicker than all that they took."""
    values, conditions = _narrowed(wanted)
    statement = SQL(_STATUSES).format(SQL(" and ").join(conditions), SQL(_ORDERS["newest"]))
    return [RunStatus(**row) for row in await _rows(database, statement, {**values, "limit": limit})]


async def spans_found(
    database: Database, run: RunFigures, *, limit: int | None = None, with_content: bool = False
) -> list[SpanRow]:
    """Return the first spans of a run, or all, of all its traces, the first to begin first.

    Args:
        database: holds them.
        run: whose spans.
        limit: most of them.
        with_content: what was asked and answered is wanted too, as far as they hold it.
    """
    values = {"run": run.run_id, "since": run.started_at - _SLACK, "limit": limit}
    values |= {"content": with_content, "said": list(names.CONTENT)}
    return [SpanRow(**row) for row in await _rows(database, _SPANS, values)]


async def content_of_span(database: Database, span: SpanRow) -> dict[str, Any]:
    """Return the attributes in which a span holds what was asked and answered; empty where it does not."""
    values = {"trace": span.trace_id, "span": span.span_id, "at": span.started_at}
    rows = await _rows(database, _CONTENT, values)
    held: dict[str, Any] = rows[0]["attributes"] if rows else {}
    return {name: held[name] for name in names.CONTENT if name in held}


async def is_thread_of(database: Database, thread_id: str, tenant: str) -> bool:
    """Tell whether all runs of a thread are of this tenant."""
    rows = await _rows(database, _OTHERS_ON_THREAD, {"thread": thread_id, "tenant": tenant})
    return not rows


def _narrowed(wanted: WantedRuns) -> tuple[dict[str, Any], list[SQL]]:
    """Return what is asked for and the conditions that say so."""
    values = {name: value for name, value in asdict(wanted).items() if value is not None}
    rated = values.pop("rated", None)
    first = SQL(_RATED[rated]) if rated else SQL("true")
    return values, [first, *(SQL(_CONDITIONS[name]) for name in values)]


def _figures(run: Mapping[str, Any], taken: Mapping[str, Any]) -> RunFigures:
    taken_names = ("duration_ms", "input_tokens", "output_tokens")
    found: dict[str, Any] = {**run, **{name: taken.get(name) for name in taken_names}}
    return RunFigures(**found)


async def _rows(database: Database, statement: LiteralString | Composed, values: Any) -> list[dict[str, Any]]:
    async with database.pool.connection() as connection:
        return await (await connection.execute(statement, values)).fetchall()
