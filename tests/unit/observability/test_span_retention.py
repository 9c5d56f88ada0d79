"""Days of spans that are too old go whole; what is newer stays, and so do days that are in use."""

import json
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext, TraceFlags
from pydantic import SecretStr

from core.database import Database, opened_database
from core.settings import Settings
from observability.span_retention import DroppedSpans, TraceRetention, drop_old_spans, drop_old_traces
from observability.span_store import SpanStore
from tests.commands import boring as command

AGES = (0, 1, 29, 30, 31, 40)


@pytest.fixture
async def database(postgres_url: str, tmp_path: Path) -> AsyncIterator[Database]:
    settings = Settings(database_url=SecretStr(postgres_url), data_dir=tmp_path, cache_dir=tmp_path)
    async with opened_database(settings) as opened:
        await SpanStore(opened, {}).deliver([span(age) for age in AGES])
        yield opened


def span(age: int) -> ReadableSpan:
    began = int((datetime.now(UTC) - timedelta(days=age)).timestamp() * 1e9)
    context = SpanContext(age + 1, age + 1, is_remote=False, trace_flags=TraceFlags(1))
    return ReadableSpan("chat m", context=context, start_time=began, end_time=began + 10**6)


async def ages(database: Database) -> list[int]:
    async with database.pool.connection() as connection:
        rows = await connection.execute(
            "select (now() at time zone 'UTC')::date - (started_at at time zone 'UTC')::date as age "
            "from boring.span order by 1"
        )
        return [row["age"] for row in await rows.fetchall()]


async def test_days_before_those_that_are_kept_go_and_a_dry_run_tells_which(database: Database) -> None:
    foreseen = await drop_old_spans(database, 30, dry_run=True)
    assert (foreseen.days, foreseen.spans) == (2, 2)
    assert foreseen.freed_bytes > 0
    assert await ages(database) == list(AGES)
    assert await drop_old_spans(database, 30) == foreseen
    assert await ages(database) == [0, 1, 29, 30]
    assert await drop_old_spans(database, 30) == DroppedSpans()


async def test_a_day_that_is_in_use_stays_and_holds_up_nobody_for_long(database: Database) -> None:
    async with database.pool.connection() as reading, reading.transaction():
        await reading.execute("select * from boring.span")
        assert (await drop_old_spans(database, 30)).busy == 2
    assert (await drop_old_spans(database, 30)).days == 2


async def test_a_span_of_a_day_that_has_gone_meanwhile_is_stored_all_the_same(database: Database) -> None:
    store = SpanStore(database, {})
    await store.deliver([span(40)])
    await drop_old_spans(database, 30)
    await store.deliver([span(40), span(1)])
    assert await ages(database) == [0, 1, 1, 29, 30, 40]


async def counts(database: Database) -> dict[str, int]:
    async with database.pool.connection() as connection:
        rows = await connection.execute(
            "select period, count(*) as many from boring.span_count where every_tenant group by 1"
        )
        return {row["period"]: row["many"] for row in await rows.fetchall()}


async def test_counts_by_hour_go_with_the_spans_and_those_by_day_when_they_are_to(database: Database) -> None:
    keep = TraceRetention(span_days=30)
    foreseen = await drop_old_traces(database, keep, dry_run=True)
    assert (foreseen.spans, foreseen.counts) == (2, 4)
    assert await counts(database) == {"hour": 6, "day": 6}
    assert await drop_old_traces(database, keep) == foreseen
    assert await counts(database) == {"hour": 4, "day": 6}
    assert (await drop_old_traces(database, TraceRetention(count_days=31))).counts == 2
    assert await counts(database) == {"hour": 4, "day": 5}
    assert (await drop_old_traces(database, TraceRetention(span_days=30, count_days=1))).counts == 10
    assert await counts(database) == {"hour": 2, "day": 2}
    with pytest.raises(ValueError, match="counts of 0 days"):
        await drop_old_traces(database, TraceRetention(count_days=0))


async def test_prune_drops_old_days_and_tells_how_many(
    database: Database, postgres_url: str, tmp_path: Path
) -> None:
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "DATABASE_URL": postgres_url}
    code, out, _ = await command("prune", "--span-days", "30", "--dry-run", env=env)
    assert (code, out.splitlines()[0].split(",")[0]) == (0, "2 days of spans would be deleted: 2 spans")
    code, out, _ = await command("prune", "--json", env={**env, "BORING_RETENTION_SPAN_DAYS": "30"})
    told: dict[str, Any] = json.loads(out)
    assert (told["traces"]["days"], told["traces"]["spans"], told["dry_run"]) == (2, 2, False)
    assert told["traces"]["counts"] == 4
    code, _, err = await command("prune", env=env)
    assert (code, "BORING_RETENTION_SPAN_DAYS" in err) == (4, True)
    for option in ("--span-days", "--count-days"):
        code, _, err = await command("prune", option, "3000000", env=env)
        assert (code, "36500" in err) == (2, True)
    assert await ages(database) == [0, 1, 29, 30]
