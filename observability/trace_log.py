"""What is told of runs and spans, and how agents, steps, tools and models do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, LiteralString

from core.database import Database

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
        run_id: the whole id.
        run_begins: what the id begins with.
        since: how far back, from the time of the database.
        least_usd: only runs of known cost, and of so many US dollars at least.
        most_usd: the same, at most.
        priced: False finds runs that have asked a model whose price is not known; True those of known cost.
    """

    agent: str | None = None
    user: str | None = None
    tenant: str | None = None
    thread_id: str | None = None
    status: str | None = None
    run_id: str | None = None
    run_begins: str | None = None
    since: timedelta | None = None
    least_usd: Decimal | None = None
    most_usd: Decimal | None = None
    priced: bool | None = None


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
