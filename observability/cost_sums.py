"""What model calls have taken, summed up by run, thread, user, tenant, agent, model or day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final, Literal, LiteralString

from psycopg.sql import SQL, Composed

from core.database import Database

CostsBy = Literal["run", "thread", "user", "tenant", "agent", "model", "day"]
_COLUMNS: Final[dict[str, tuple[LiteralString, LiteralString]]] = {
    "run": ("run_id", "tenant"),
    "thread": ("thread_id", "tenant"),
    "user": ("user_id", "tenant"),
    "tenant": ("tenant", "null"),
    "agent": ("agent", "tenant"),
    "model": ("model", "null"),
    "day": ("day", "null"),
}
"""What names a row, and the tenant that it belongs to: others may have the same name for something else."""
_COUNTED: Final[dict[str, LiteralString]] = {
    "tenant": "boring.cost_by_tenant",
    "model": "boring.cost_by_model",
    "day": "boring.cost_by_day",
}
"""Views on the counts of days, which are kept for longer than spans and are fewer."""
_OF_ONE_TENANT: LiteralString = "boring.cost_by_tenant"
"""The view on counts of days in which those by day tell tenants apart."""
_BY_CALL: Final = timedelta(days=2)
"""Below which length each call is looked at, to the second."""
_OF_CALLS: LiteralString = """
with summed as (
    select {name}::text as name, {tenant}::text as tenant, count(*) as calls,
        sum(input_tokens) as input_tokens, sum(output_tokens) as output_tokens,
        sum(cost_usd) as cost_usd, count(*) filter (where cost_usd is null) as unpriced
    from boring.model_call
    where {since} and {whose} group by 1, 2
)
"""
_OF_DAYS: LiteralString = """
with summed as (
    select {name}::text as name, {tenant}::text as tenant, sum(calls) as calls,
        sum(input_tokens) as input_tokens, sum(output_tokens) as output_tokens,
        sum(cost_usd) as cost_usd, sum(unpriced) as unpriced
    from {view}
    where {since} and {whose} group by 1, 2
)
"""
_LISTED: LiteralString = """
, listed as (
    select name, tenant, calls, input_tokens, output_tokens, cost_usd, unpriced from summed
    order by {order} name collate "C", tenant collate "C" limit %(limit)s
)
select false as total, listed.* from listed
union all
select true, null, null, coalesce(sum(calls), 0), sum(input_tokens), sum(output_tokens), sum(cost_usd),
    coalesce(sum(unpriced), 0)
from summed
"""
_COUNTS = ("calls", "input_tokens", "output_tokens", "unpriced")
_DEAREST: LiteralString = (
    "cost_usd desc nulls last, coalesce(input_tokens, 0) + coalesce(output_tokens, 0) desc,"
)


@dataclass(frozen=True, slots=True)
class CostSum:
    """What model calls have taken together.

    Attributes:
        name: of the run, thread, user, tenant, agent or model, or the day of UTC; None for calls without.
        tenant: whose run, thread, user or agent it is; None of a model and a day, which all have.
        cost_usd: US dollars of the calls whose price is known; None where there is none.
        unpriced: how many of `calls` have no known price.
    """

    name: str | None
    tenant: str | None
    calls: int
    input_tokens: int
    output_tokens: int
    cost_usd: Decimal | None
    unpriced: int


@dataclass(frozen=True, slots=True)
class Costs:
    """Sums, the dearest first or by day, and the sum of all, listed or not."""

    rows: list[CostSum]
    total: CostSum


async def costs_by(
    database: Database, by: CostsBy, *, since: timedelta | None, limit: int, tenant: str | None = None
) -> Costs:
    """Return what model calls have taken.

    Args:
        database: holds spans and their counts.
        by: what is summed up.
        since: how far back; None for as far as spans are kept, or counts by tenant, model and day. These
            count the whole of the first day where it is two days or more.
        limit: most rows; the newest of days.
        tenant: whose calls only; None for those of all.
    """
    values = {"since": since, "limit": limit, "tenant": tenant}
    statement = _statement(by, since, of_one=tenant is not None)
    async with database.pool.connection() as connection:
        rows = await (await connection.execute(statement, values)).fetchall()
    sums = [(row.pop("total"), _sum(row)) for row in rows]
    return Costs(
        [one for is_total, one in sums if not is_total], next(one for is_total, one in sums if is_total)
    )


def _statement(by: CostsBy, since: timedelta | None, *, of_one: bool) -> Composed:
    name, tenant = (SQL(column) for column in _COLUMNS[by])
    counted = by in _COUNTED and (since is None or since >= _BY_CALL)
    whose = SQL("tenant = %(tenant)s" if of_one else "true")
    order = SQL('name collate "C" desc,' if by == "day" else _DEAREST)
    if counted:
        wanted = "true" if since is None else "day >= ((now() - %(since)s) at time zone 'UTC')::date"
        view = SQL(_OF_ONE_TENANT if of_one and by == "day" else _COUNTED[by])
        summed = SQL(_OF_DAYS).format(name=name, tenant=tenant, view=view, since=SQL(wanted), whose=whose)
    else:
        wanted = "true" if since is None else "started_at > now() - %(since)s"
        summed = SQL(_OF_CALLS).format(name=name, tenant=tenant, since=SQL(wanted), whose=whose)
    return summed + SQL(_LISTED).format(order=order)


def _sum(row: dict[str, Any]) -> CostSum:
    counts: dict[str, Any] = {name: int(row[name] or 0) for name in _COUNTS}
    return CostSum(**{**row, **counts})
