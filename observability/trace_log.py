"""What the table of spans tells: which runs there were, what one did, how steps, tools and models do."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, LiteralString

from core.database import Database

_COSTS: LiteralString = """
    select run_id, sum(input_tokens) as input_tokens, sum(output_tokens) as output_tokens,
        case when bool_and(cost_usd is not null) then sum(cost_usd) end as cost_usd,
        count(*) as model_calls
    from boring.span where operation = 'chat' and run_id = any(array(select run_id from wanted))
    group by run_id
"""
_RUNS: LiteralString = f"""
with wanted as materialized (
    select run_id, thread_id, graph, status, reason, question, started_at, finished_at,
        coalesce(context ->> 'tenant', 'local') as tenant, coalesce(context ->> 'user', 'local') as user_id
    from boring.run
    where (%(agent)s::text is null or graph = %(agent)s)
        and (%(user)s::text is null or coalesce(context ->> 'user', 'local') = %(user)s)
        and (%(tenant)s::text is null or coalesce(context ->> 'tenant', 'local') = %(tenant)s)
        and (%(thread_id)s::text is null or thread_id = %(thread_id)s)
        and (%(status)s::text is null or status = %(status)s)
        and (%(run_id)s::text is null or starts_with(run_id, %(run_id)s))
        and (%(since)s::interval is null or started_at > now() - %(since)s::interval)
    order by started_at desc, run_id limit %(limit)s
), cost as ({_COSTS}), work as (
    select run_id, sum(duration_ms) as duration_ms from boring.span
    where operation = 'invoke_agent' and parent_id is null and run_id = any(array(select run_id from wanted))
    group by run_id
)
select wanted.*, duration_ms, input_tokens, output_tokens, cost_usd, coalesce(model_calls, 0) as model_calls
from wanted left join cost using (run_id) left join work using (run_id) order by started_at desc, run_id
"""  # noqa: S608 - put together from constants
_SPANS: LiteralString = """
select trace_id, span_id, parent_id, name, operation, agent, step, tool, model, provider, run_id, thread_id,
    started_at, duration_ms, status, outcome, error_type, input_tokens, output_tokens, cached_tokens,
    reasoning_tokens, cost_usd, attributes, events, links
from boring.span where run_id = %s order by started_at, operation = 'invoke_agent' desc
"""
_STEPS: LiteralString = """
select coalesce(step, tool, model, agent) as name, operation, count(*) as calls,
    count(*) filter (where status = 'error') as errors,
    percentile_cont(array[0.5, 0.95, 0.99]) within group (order by duration_ms) as percentiles,
    sum(input_tokens) as input_tokens, sum(output_tokens) as output_tokens,
    case when bool_and(cost_usd is not null) then sum(cost_usd) end as cost_usd
from boring.span
where operation = any(%(operations)s)
    and (%(since)s::interval is null or started_at > now() - %(since)s::interval)
    and (%(tenant)s::text is null or tenant = %(tenant)s)
group by 1, 2 order by 2, 1
"""
OPERATIONS = ("invoke_agent", "run_step", "chat", "execute_tool")


@dataclass(frozen=True, slots=True)
class WantedRuns:
    """Which runs are looked for; what is unset does not narrow them.

    Attributes:
        run_id: what the run's id begins with.
        since: how far back, from the time of the database.
    """

    agent: str | None = None
    user: str | None = None
    tenant: str | None = None
    thread_id: str | None = None
    status: str | None = None
    run_id: str | None = None
    since: timedelta | None = None


@dataclass(frozen=True, slots=True)
class RunFigures:
    """A run, and what it took.

    Attributes:
        duration_ms: of all its invocations, without the time in which it waited for people.
        cost_usd: US dollars; None where the price of one of its models is not known, or none was asked.
    """

    run_id: str
    thread_id: str
    graph: str
    status: str
    reason: str | None
    question: str | None
    started_at: datetime
    finished_at: datetime | None
    tenant: str
    user_id: str
    duration_ms: float | None
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: Decimal | None
    model_calls: int


@dataclass(frozen=True, slots=True)
class SpanRow:
    """A span as it is kept; see `observability.names` for what stands in `attributes`."""

    trace_id: str
    span_id: str
    parent_id: str | None
    name: str
    operation: str
    agent: str | None
    step: str | None
    tool: str | None
    model: str | None
    provider: str | None
    run_id: str | None
    thread_id: str | None
    started_at: datetime
    duration_ms: float
    status: str
    outcome: str | None
    error_type: str | None
    input_tokens: int | None
    output_tokens: int | None
    cached_tokens: int | None
    reasoning_tokens: int | None
    cost_usd: Decimal | None
    attributes: dict[str, Any]
    events: list[dict[str, Any]]
    links: list[str]


@dataclass(frozen=True, slots=True)
class Figures:
    """How an agent, a step, a model or a tool has done.

    Attributes:
        operation: one of `OPERATIONS`.
        errors: how many of `calls` failed; waiting for a person is no error.
        cost_usd: US dollars; None where a price is not known.
    """

    name: str
    operation: str
    calls: int
    errors: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: Decimal | None


async def recent_runs(database: Database, wanted: WantedRuns, *, limit: int) -> list[RunFigures]:
    """Return the newest runs, newest first, at most `limit`."""
    values = {field.name: getattr(wanted, field.name) for field in fields(wanted)}
    return [RunFigures(**row) for row in await _rows(database, _RUNS, {**values, "limit": limit})]


async def spans_of_run(database: Database, run_id: str) -> list[SpanRow]:
    """Return the spans of a run, of all its traces, the first to begin first."""
    return [SpanRow(**row) for row in await _rows(database, _SPANS, (run_id,))]


async def figures(
    database: Database, *, since: timedelta | None = None, tenant: str | None = None
) -> list[Figures]:
    """Return how agents, steps, models and tools have done, by operation and name."""
    values = {"since": since, "tenant": tenant, "operations": list(OPERATIONS)}
    found: list[Figures] = []
    for row in await _rows(database, _STEPS, values):
        p50, p95, p99 = row.pop("percentiles")
        row["name"] = row["name"] or "?"
        found.append(Figures(**row, p50_ms=p50, p95_ms=p95, p99_ms=p99))
    return found


async def _rows(database: Database, statement: LiteralString, values: Any) -> list[dict[str, Any]]:
    async with database.pool.connection() as connection:
        return await (await connection.execute(statement, values)).fetchall()
