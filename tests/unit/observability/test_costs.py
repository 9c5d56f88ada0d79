"""What calls cost, how long steps take and how often they fail: asked by SQL, for all tenants or for one."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, LiteralString, cast

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.trace import Status, StatusCode

from core.database import Database
from core.prices import Price
from observability import names
from observability.cost_sums import CostsBy, CostSum, costs_by
from observability.costs import Tokens, cost_of
from observability.span_store import SpanStore
from tests.runs import begins

DAY = timedelta(days=1)
PRICES = {"priced": Price(input=3, output=0)}
USED = {names.INPUT_TOKENS: 1_000_000, names.OUTPUT_TOKENS: 2}
TRACES = Path(__file__).resolve().parents[3] / "docs" / "traces.md"
EACH: tuple[CostsBy, ...] = ("run", "thread", "user", "tenant", "agent", "model", "day")


@pytest.fixture
async def database(database: Database) -> Database:
    """Runs of two tenants: four calls of known price, one of them ten days ago, and two of unknown price."""
    for run in ("first", "second", "third"):
        await begins(database, run)
    await SpanStore(database, PRICES).deliver(
        [
            *(chat("priced", "first", "acme", "ann") for _ in range(2)),
            chat("own", "first", "acme", "ann"),
            chat("priced", "second", "acme", "bob"),
            chat("priced", "second", "acme", "bob", days_ago=10),
            chat("own", "third", "other", "ann"),
            *(span("execute_tool", "first", "acme", "ann", {names.TOOL: "pay"}) for _ in range(3)),
            span("execute_tool", "third", "other", "ann", {names.TOOL: "pay"}, failed=True),
            *(span("run_step", "first", "acme", "ann", {names.STEP: "plan"}, ms=ms) for ms in range(1, 100)),
            span("invoke_agent", "first", "acme", "ann", {}, ms=500),
        ]
    )
    return database


def span(
    operation: str,
    run: str,
    tenant: str,
    user: str,
    named: Mapping[str, Any],
    *,
    ms: float = 5,
    days_ago: float = 0,
    failed: bool = False,
) -> ReadableSpan:
    ends = datetime.now(UTC).timestamp() - days_ago * DAY.total_seconds()
    made: Any = (
        TracerProvider().get_tracer("test").start_span(operation, start_time=int((ends - ms / 1e3) * 1e9))
    )
    whose = {
        names.TENANT: tenant,
        names.USER: user,
        names.RUN: run,
        names.CONVERSATION: run,
        names.AGENT: "till",
    }
    made.set_attributes({names.OPERATION: operation, **whose, **named})
    if failed:
        made.set_status(Status(StatusCode.ERROR))
    made.end(int(ends * 1e9))
    return made


def chat(model: str, run: str, tenant: str, user: str, *, days_ago: float = 0) -> ReadableSpan:
    return span("chat", run, tenant, user, {names.REQUEST_MODEL: model, **USED}, days_ago=days_ago)


async def asked(database: Database, query: str, tenant: str | None = None) -> list[dict[str, Any]]:
    async with database.pool.connection() as connection, connection.transaction():
        if tenant is not None:
            await connection.execute("select boring.become(%s, 'boring_app', true)", (tenant,))
        return await (await connection.execute(cast("LiteralString", query))).fetchall()


def told(one: CostSum) -> tuple[str | None, int, Decimal | None, int]:
    return (one.name, one.calls, one.cost_usd, one.unpriced)


async def test_costs_are_summed_by_each_and_calls_of_unknown_price_are_counted(database: Database) -> None:
    found = {by: await costs_by(database, by, since=None, limit=20) for by in EACH}
    assert [told(one) for one in found["run"].rows] == [
        ("first", 3, Decimal(6), 1),
        ("second", 2, Decimal(6), 0),
        ("third", 1, None, 1),
    ]
    assert [told(one) for one in found["thread"].rows] == [told(one) for one in found["run"].rows]
    assert [(one.tenant, *told(one)) for one in found["user"].rows] == [
        ("acme", "ann", 3, Decimal(6), 1),
        ("acme", "bob", 2, Decimal(6), 0),
        ("other", "ann", 1, None, 1),
    ]
    assert [told(one) for one in found["tenant"].rows] == [("acme", 5, Decimal(12), 1), ("other", 1, None, 1)]
    assert [(one.tenant, *told(one)) for one in found["agent"].rows] == [
        ("acme", "till", 5, Decimal(12), 1),
        ("other", "till", 1, None, 1),
    ]
    assert [told(one) for one in found["model"].rows] == [("priced", 4, Decimal(12), 0), ("own", 2, None, 2)]
    assert [told(one)[1:] for one in found["day"].rows] == [(5, Decimal(9), 2), (1, Decimal(3), 0)]
    for one in found.values():
        assert told(one.total) == (None, 6, Decimal(12), 2)
        assert (one.total.input_tokens, one.total.output_tokens) == (6_000_000, 12)


async def test_costs_of_a_tenant_have_nothing_of_another_with_the_same_names(database: Database) -> None:
    await SpanStore(database, PRICES).deliver([chat("priced", "first", "other", "ann")])
    both = await costs_by(database, "thread", since=None, limit=20)
    assert [(one.tenant, *told(one)[:2]) for one in both.rows] == [
        ("acme", "first", 3),
        ("acme", "second", 2),
        ("other", "first", 1),
        ("other", "third", 1),
    ]
    for by in EACH:
        for since in (None, timedelta(hours=12), 20 * DAY):
            for tenant, calls in (("acme", 4 if since == timedelta(hours=12) else 5), ("other", 2)):
                found = await costs_by(database, by, since=since, limit=20, tenant=tenant)
                assert sum(one.calls for one in found.rows) == found.total.calls == calls, (by, since, tenant)
                assert {one.tenant for one in found.rows} <= {tenant, None}


async def test_costs_of_a_time_leave_out_what_was_before(database: Database) -> None:
    for since in (timedelta(hours=12), 9 * DAY):
        for by in EACH:
            assert told((await costs_by(database, by, since=since, limit=20)).total) == (
                None,
                5,
                Decimal(9),
                2,
            )
    found = await costs_by(database, "run", since=None, limit=1)
    assert ([one.name for one in found.rows], found.total.calls) == (["first"], 6)
    nothing = await costs_by(database, "run", since=timedelta(microseconds=1), limit=20)
    assert (nothing.rows, told(nothing.total)) == ([], (None, 0, None, 0))


async def test_a_tenant_sees_through_the_views_what_is_its_own(database: Database) -> None:
    views = await asked(
        database,
        "select relname, 'security_invoker=true' = any(reloptions) as invoker from pg_class "
        "where relkind = 'v' and relnamespace = 'boring'::regnamespace",
    )
    assert len(views) == 10
    for view in views:
        everything = f"table boring.{view['relname']}"
        assert view["invoker"], everything
        assert await asked(database, everything), everything
        assert await asked(database, everything, "nobody") == []
    [other] = await asked(database, "select * from boring.cost_by_run", "other")
    assert (other["run_id"], other["calls"], other["cost_usd"], other["unpriced"]) == ("third", 1, None, 1)
    [day] = await asked(database, "select * from boring.cost_by_day", "other")
    assert (day["calls"], day["cost_usd"], day["unpriced"]) == (1, None, 1)
    assert await asked(database, "select * from boring.span where tenant = 'acme'", "other") == []


async def test_another_user_of_the_database_reads_and_writes_what_it_was_granted(database: Database) -> None:
    async with database.pool.connection() as connection, connection.transaction(force_rollback=True):
        await connection.execute("create role reporting_of_test")
        await connection.execute("grant usage on schema boring to reporting_of_test")
        await connection.execute("grant select, insert on boring.span to reporting_of_test")
        await connection.execute("grant select on boring.model_call to reporting_of_test")
        await connection.execute("set local role reporting_of_test")
        await connection.execute(
            "insert into boring.span (trace_id, span_id, name, operation, started_at, duration_ms, status)"
            " values ('t', 's', 'chat', 'chat', now(), 1, 'ok')"
        )
        found = await connection.execute("select distinct tenant from boring.model_call order by 1")
        assert [row["tenant"] for row in await found.fetchall()] == ["", "acme", "other"]


async def test_a_member_of_the_bound_role_sees_what_is_of_the_tenant_that_it_is_bound_to(
    database: Database,
) -> None:
    async with database.pool.connection() as connection, connection.transaction(force_rollback=True):
        await connection.execute("create role member_of_test in role boring_app")
        await connection.execute("select set_config('boring.tenant', 'other', true)")
        await connection.execute("set local role member_of_test")
        for view in ("model_call", "cost_by_user", "span"):
            found = await (await connection.execute(f"table boring.{view}".encode())).fetchall()
            assert {row["tenant"] for row in found} == {"other"}, view


async def test_times_and_error_rates_are_told_by_day(database: Database) -> None:
    [plan] = await asked(database, "select * from boring.performance where name = 'plan'")
    assert (plan["calls"], plan["errors"], plan["error_rate"]) == (99, 0, 0)
    assert [plan[name] for name in ("p50_ms", "p95_ms", "p99_ms")] == pytest.approx([50, 95, 99], rel=0.06)
    [pay] = await asked(database, "select * from boring.performance where name = 'pay'")
    assert (pay["calls"], pay["error_rate"]) == (4, 0.25)
    rates = await asked(
        database, "select * from boring.performance_by_tenant where name = 'pay' order by tenant"
    )
    assert [(one["tenant"], one["error_rate"]) for one in rates] == [("acme", 0), ("other", 1)]


async def test_a_run_is_told_with_how_long_it_worked(database: Database) -> None:
    [run] = await asked(database, "select * from boring.cost_by_run where run_id = 'first'")
    assert (run["agent"], run["duration_ms"]) == ("till", pytest.approx(500))
    assert (run["thread_id"], run["user_id"], run["input_tokens"]) == ("first", "ann", 3_000_000)


async def test_the_queries_of_the_documentation_answer(database: Database) -> None:
    queries = re.findall(r"^```sql\n(.*?)^```", TRACES.read_text(), re.DOTALL | re.MULTILINE)
    questions = [query for block in queries for query in block.split(";") if query.strip()]
    assert len(questions) >= 6
    for query in questions:
        assert await asked(database, query), query


@pytest.mark.parametrize("took", [Tokens(100, 10, cached=500), Tokens(-1, 10)])
def test_what_an_endpoint_tells_that_can_not_be_costs_an_unknown_sum_and_never_less_than_nothing(
    took: Tokens,
) -> None:
    now = datetime.now(UTC)
    assert cost_of("gpt-4o", took, provider="openai", at=now, own={}) is None
    own = cost_of("own", took, provider="", at=now, own={"own": Price(input=3, output=0, cached=0)})
    assert own is None


def test_only_our_own_model_is_free_by_its_name() -> None:
    prices: Any = {}
    for provider, cost in (("embedded", Decimal(0)), ("gateway.example", None), ("", None)):
        assert cost_of("embedded", Tokens(1, 1), provider=provider, at=datetime.now(UTC), own=prices) == cost
