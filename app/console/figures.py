"""The pages of figures and of parts: charts, breakers, what is known of a user."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from langgraph.store.base import SearchOp
from starlette.requests import Request
from starlette.responses import Response

from app.console.rendering import page
from app.console.runs import PERIODS
from app.console.satisfied import contentment
from app.console.viewing import for_operators, viewer_of
from core.process import current_process
from core.tenants import as_tenant
from core.text import storable_text
from memory.facts import user_namespace
from memory.items import memory_of
from memory.rules_listing import rules_tried
from memory.store_search import found
from observability.satisfaction import satisfaction
from observability.span_counts import ModelDay, model_days, times
from tools.breaker_table import BreakerTable

_TITLES: Final = {"run_step": "Steps", "execute_tool": "Tools", "chat": "Models", "invoke_agent": "Agents"}
_COLOURS: Final = 6
_MOST_MEMORIES: Final = 200
_MOST_TRIALS: Final = 100


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a column of a chart, in percent of the chart's height.

    Attributes:
        colour: the number of its colour, from 0.
        top: where it begins, from above.
    """

    model: str
    colour: int
    top: float
    height: float


@dataclass(frozen=True, slots=True)
class Chart:
    """Days as columns, each made of models.

    Attributes:
        most: the value of the whole height.
        days: a day and its pieces, the oldest first.
    """

    most: float
    days: Sequence[tuple[date, Sequence[Piece]]]


async def show_charts(request: Request) -> Response:
    """Show latencies, errors, tokens, cost and satisfaction of the last hours or days."""
    database = await (await current_process()).database()
    period = request.query_params.get("since", "7d")
    since = PERIODS.get(period, PERIODS["7d"])
    tenant = viewer_of(request).tenant_of(storable_text(request.query_params.get("tenant", "").strip()))
    done = await times(database, since=since, tenant=tenant)
    days = await model_days(database, since=since, tenant=tenant)
    models = {name: number % _COLOURS for number, name in enumerate(sorted({one.model for one in days}))}
    groups = [
        (operation, title, rows, max((one.p99_ms for one in rows), default=1.0))
        for operation, title in _TITLES.items()
        if (rows := [one for one in done if one.operation == operation])
    ]
    return await page(
        request,
        "charts.html",
        groups=groups,
        failed=sorted((one for one in done if one.errors), key=lambda one: -one.errors),
        days=days,
        content=contentment(await satisfaction(database, since=since, tenant=tenant), since),
        models=models,
        tokens=_chart(days, models, since, lambda one: one.input_tokens + one.output_tokens),
        cost=_chart(days, models, since, lambda one: float(one.cost_usd)),
        period=period if period in PERIODS else "7d",
        periods=list(PERIODS),
        tenant=tenant or "",
    )


async def list_breakers(request: Request) -> Response:
    """Show the circuit breakers, which all tenants share."""
    for_operators(request)
    table = BreakerTable(await (await current_process()).database())
    return await page(request, "breakers.html", breakers=await table.all())


async def show_memory(request: Request) -> Response:
    """Show what is known of a user, the newest first."""
    asked = {name: storable_text(request.query_params.get(name, "").strip()) for name in ("user", "tenant")}
    tenant, user = viewer_of(request).tenant_of(asked["tenant"]) or "local", asked["user"]
    memories: list[Any] = []
    if user:
        database = await (await current_process()).database()
        async with as_tenant(database, tenant, reading=True) as connection:
            op = SearchOp(user_namespace(user), limit=_MOST_MEMORIES, refresh_ttl=False)
            memories = [memory_of(row) for row in await found(connection, op)]
    return await page(
        request, "memory.html", memories=memories, user=user, tenant=tenant, most=_MOST_MEMORIES
    )


async def list_evals(request: Request) -> Response:
    """Show what came of trials of rules, the only evals whose results are kept."""
    asked = storable_text(request.query_params.get("tenant", "").strip())
    tenant = viewer_of(request).tenant_of(asked) or "local"
    tried = await rules_tried(await (await current_process()).database(), tenant, limit=_MOST_TRIALS)
    return await page(request, "evals.html", tried=tried, tenant=tenant, most=_MOST_TRIALS)


def _chart(
    rows: Sequence[ModelDay], models: dict[str, int], since: timedelta, value: Callable[[ModelDay], float]
) -> Chart:
    """Return a chart of every day of the period, also of those on which nothing was."""
    today = datetime.now(UTC).date()
    days = [today - timedelta(days=back) for back in range(since.days, -1, -1)]
    sums = {day: sum(value(one) for one in rows if one.day == day) for day in days}
    most = max(sums.values())
    columns: list[tuple[date, Sequence[Piece]]] = []
    for day in days:
        top, pieces = 100.0, list[Piece]()
        for one in rows:
            if one.day == day and value(one):
                height = 100 * value(one) / most
                top -= height
                pieces.append(Piece(one.model, models[one.model], top, height))
        columns.append((day, pieces))
    return Chart(most, columns)
