"""Figures from the counts of spans: what they cost grows with time and names, not with spans."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final, LiteralString

from core.database import Database

_RATIO: Final = 1.1
"""Between the bounds of a bucket of durations; `boring.duration_bucket` has the same."""
_COUNTED: LiteralString = """
from boring.span_count
where period = %(period)s and every_tenant = %(every)s and tenant = %(tenant)s
    and (%(since)s::interval is null or begins >= date_trunc(%(period)s, now() - %(since)s::interval, 'UTC'))
"""
_TIMES: LiteralString = f"""
select operation, name, array_agg(bucket order by bucket) as buckets,
    array_agg(calls order by bucket) as counts, sum(calls)::bigint as calls, sum(errors)::bigint as errors,
    sum(input_tokens)::bigint as input_tokens, sum(output_tokens)::bigint as output_tokens,
    sum(cost_usd) as cost_usd, sum(unpriced)::bigint as unpriced
from (
    select operation, name, bucket, sum(calls)::bigint as calls, sum(errors) as errors,
        sum(input_tokens) as input_tokens, sum(output_tokens) as output_tokens, sum(cost_usd) as cost_usd,
        sum(unpriced) as unpriced
    {_COUNTED} group by 1, 2, 3
) as counted group by 1, 2 order by 1, 2
"""  # noqa: S608 - of the constant above
_DAYS: LiteralString = f"""
select (begins at time zone 'UTC')::date as day, name as model, sum(calls)::bigint as calls,
    sum(input_tokens)::bigint as input_tokens, sum(output_tokens)::bigint as output_tokens,
    sum(cost_usd) as cost_usd, sum(unpriced)::bigint as unpriced
{_COUNTED} and operation = 'chat' group by 1, 2 order by 1, 2
"""
_AGENTS: LiteralString = f"""
select distinct name {_COUNTED} and operation = 'invoke_agent' order by name limit 100
"""
_BY_HOUR: Final = timedelta(days=2)
"""Up to which length a time is counted by hours."""


@dataclass(frozen=True, slots=True)
class Times:
    """How a step, a tool, a model or an agent has done.

    Attributes:
        operation: as in a span.
        errors: how many of `calls` failed; waiting for a person is no error.
        p50_ms: what half of the calls stayed below; it and the next two are right to 5 %.
        cost_usd: US dollars of the calls of a model whose price is known; None where there is none.
        unpriced: how many calls of a model have no known price.
    """

    operation: str
    name: str
    calls: int
    errors: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    input_tokens: int
    output_tokens: int
    cost_usd: Decimal | None
    unpriced: int


@dataclass(frozen=True, slots=True)
class ModelDay:
    """What a model took on a day of UTC.

    Attributes:
        cost_usd: US dollars of the calls whose price is known.
        unpriced: how many calls have no known price.
    """

    day: date
    model: str
    calls: int
    input_tokens: int
    output_tokens: int
    cost_usd: Decimal
    unpriced: int


async def times(database: Database, *, since: timedelta | None, tenant: str | None = None) -> list[Times]:
    """Return how everything has done, by operation and name.

    Args:
        database: holds the counts.
        since: how far back; None for all. Its first hour counts whole, and from two days on its first day.
        tenant: only for this one.
    """
    return [_times(row) for row in await _rows(database, _TIMES, _asked(since, tenant))]


async def model_days(database: Database, *, since: timedelta, tenant: str | None = None) -> list[ModelDay]:
    """Return what models took, day by day."""
    return [ModelDay(**row) for row in await _rows(database, _DAYS, _asked(since, tenant))]


async def agents_seen(database: Database, *, since: timedelta, tenant: str | None = None) -> list[str]:
    """Return the names of agents that have run, at most 100."""
    return [row["name"] for row in await _rows(database, _AGENTS, _asked(since, tenant))]


def _asked(since: timedelta | None, tenant: str | None) -> dict[str, Any]:
    period = "hour" if since is not None and since < _BY_HOUR else "day"
    return {"since": since, "period": period, "every": tenant is None, "tenant": tenant or ""}


def _times(row: dict[str, Any]) -> Times:
    counted = list(zip(row.pop("buckets"), row.pop("counts"), strict=True))
    p50, p95, p99 = (_quantile(counted, row["calls"], share) for share in (0.5, 0.95, 0.99))
    if row["operation"] != "chat" or row["unpriced"] == row["calls"]:
        row["cost_usd"] = None
    return Times(**row, p50_ms=p50, p95_ms=p95, p99_ms=p99)


def _quantile(counted: Sequence[tuple[int, int]], calls: int, share: float) -> float:
    """Return the middle of the bucket, in milliseconds, that the quantile lies in."""
    seen = 0
    for bucket, number in counted:
        seen += number
        if seen >= share * calls:
            return _RATIO ** (bucket + 0.5)
    raise ValueError("there are no calls")


async def _rows(database: Database, statement: LiteralString, values: Any) -> Sequence[dict[str, Any]]:
    async with database.pool.connection() as connection:
        return await (await connection.execute(statement, values)).fetchall()
