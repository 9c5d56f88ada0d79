"""The counts of spans, which figures are made of."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider

from core.database import Database
from core.prices import Price
from observability import names
from observability.run_search import runs_found
from observability.span_counts import agents_seen, model_days, times
from observability.span_store import SpanStore
from observability.trace_log import WantedRuns
from tests.runs import begins

DAY = timedelta(days=1)
WEEK = timedelta(days=7)
RUN = "run"


@pytest.fixture
async def database(database: Database) -> Database:
    await begins(database, RUN)
    return database


def span(
    operation: str, ms: float, named: Mapping[str, Any], *, tenant: str = "acme", days_ago: float = 0
) -> ReadableSpan:
    """Return a finished span that began some days ago."""
    ends = datetime.now(UTC).timestamp() - days_ago * DAY.total_seconds()
    made: Any = (
        TracerProvider().get_tracer("test").start_span(operation, start_time=int((ends - ms / 1e3) * 1e9))
    )
    made.set_attributes({names.OPERATION: operation, names.TENANT: tenant, names.RUN: RUN, **named})
    made.end(int(ends * 1e9))
    return made


async def test_quantiles_are_right_to_five_percent(database: Database) -> None:
    step = {names.STEP: "plan"}
    await SpanStore(database, {}).deliver([span("run_step", ms, step) for ms in range(1, 1001)])
    for since in (timedelta(hours=1), WEEK):
        [found] = await times(database, since=since)
        assert (found.operation, found.name, found.calls, found.errors) == ("run_step", "plan", 1000, 0)
        told = (found.p50_ms, found.p95_ms, found.p99_ms)
        assert told == pytest.approx((500, 950, 990), rel=0.05)


async def test_a_span_that_is_delivered_twice_counts_once_and_others_add_to_it(database: Database) -> None:
    store, one = SpanStore(database, {}), span("execute_tool", 5, {names.TOOL: "pay"})
    for spans in ([one], [one], [one, span("execute_tool", 5, {names.TOOL: "pay"}, tenant="other")]):
        await store.deliver(spans)
    assert [found.calls for found in await times(database, since=DAY)] == [2]
    assert [found.calls for found in await times(database, since=DAY, tenant="acme")] == [1]
    assert await times(database, since=DAY, tenant="nobody") == []


async def test_tokens_and_cost_are_told_by_day_and_model_and_an_unknown_price_is_no_zero(
    database: Database,
) -> None:
    used = {names.INPUT_TOKENS: 1_000_000, names.OUTPUT_TOKENS: 2}
    priced, own = {names.REQUEST_MODEL: "priced", **used}, {names.REQUEST_MODEL: "own", **used}
    store = SpanStore(database, {"priced": Price(input=3, output=0)})
    await store.deliver([span("chat", ms, priced) for ms in (5, 900)])
    await store.deliver([span("chat", 5, priced, days_ago=ago) for ago in (3, 9)])
    await store.deliver([span("chat", 5, own)])
    days = await model_days(database, since=WEEK)
    today = [one for one in days if one.day == datetime.now(UTC).date()]
    assert [(one.model, one.calls, one.cost_usd, one.unpriced) for one in today] == [
        ("own", 1, Decimal(0), 1),
        ("priced", 2, Decimal(6), 0),
    ]
    assert len(days) == 3
    assert [one.input_tokens for one in days] == [1_000_000, 1_000_000, 2_000_000]
    models = await times(database, since=None)
    assert [(one.name, one.calls, one.cost_usd, one.unpriced) for one in models] == [
        ("own", 1, None, 1),
        ("priced", 4, Decimal(12), 0),
    ]
    assert [(one.input_tokens, one.output_tokens) for one in models] == [(1_000_000, 2), (4_000_000, 8)]


async def test_agents_are_named_that_have_run_lately(database: Database) -> None:
    for name, ago in (("till", 0), ("old", 20)):
        await SpanStore(database, {}).deliver([span("invoke_agent", 5, {names.AGENT: name}, days_ago=ago)])
    assert await agents_seen(database, since=WEEK) == ["till"]


async def test_what_a_run_costs_adds_up_over_batches_and_is_unknown_with_one_unknown_price(
    database: Database,
) -> None:
    used = {names.INPUT_TOKENS: 1_000_000, names.OUTPUT_TOKENS: 0}
    store = SpanStore(database, {"priced": Price(input=3, output=0)})
    first = span("chat", 5, {names.REQUEST_MODEL: "priced", **used})
    for spans in ([first], [first], [span("chat", 6, {names.REQUEST_MODEL: "priced", **used})]):
        await store.deliver(spans)
    [known] = await runs_found(database, WantedRuns(least_usd=Decimal(6), most_usd=Decimal(6)), limit=9)
    assert (known.cost_usd, known.model_calls) == (Decimal(6), 2)
    await store.deliver([span("chat", 5, {names.REQUEST_MODEL: "own", **used})])
    [unknown] = await runs_found(database, WantedRuns(priced=False), limit=9)
    assert (unknown.cost_usd, unknown.model_calls) == (None, 3)
    assert await runs_found(database, WantedRuns(priced=True), limit=9) == []


async def test_tools_that_a_model_makes_up_count_as_one(database: Database) -> None:
    made_up = [{names.TOOL: f"made up {n}", names.OUTCOME: "unknown_tool"} for n in range(3)]
    calls = [span("execute_tool", 5, named) for named in (*made_up, {names.TOOL: "pay"})]
    await SpanStore(database, {}).deliver(calls)
    found = await times(database, since=DAY)
    assert {(one.name, one.calls) for one in found} == {("(no such tool)", 3), ("pay", 1)}
