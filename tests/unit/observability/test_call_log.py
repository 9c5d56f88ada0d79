import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from psycopg.types.json import Jsonb
from pydantic import SecretStr

from core.database import Database, opened_database
from core.settings import Settings
from observability.call_log import Wanted, calls_named, recent_calls, tool_figures
from observability.calls import log_calls

NOW = datetime.now(UTC)


@pytest.fixture
async def database(postgres_url: str, tmp_path: Path) -> AsyncIterator[Database]:
    settings = Settings(database_url=SecretStr(postgres_url), data_dir=tmp_path, cache_dir=tmp_path)
    async with opened_database(settings) as opened:
        yield opened


async def logged(database: Database, thread_id: str = "t", run_id: str = "r", **told: Any) -> None:
    """Log a call that began a minute ago; `told` says what is different about it."""
    record = {
        "call_id": uuid.uuid4().hex,
        "tool": "look",
        "effect": "read",
        "arguments": {},
        "step": 1,
        "attempt": 1,
        "outcome": "ok",
        "error": None,
        "started_at": (NOW - told.pop("ago", timedelta(minutes=1))).isoformat(),
        "latency_ms": 10.0,
        "key": None,
        "replayed": False,
        "approved_by": None,
    }
    await log_calls(database, thread_id=thread_id, run_id=run_id, calls=[({**record, **told}, "told")])


async def intended(database: Database, key: str, **told: Any) -> None:
    entry = {"call_id": "c", "tool": "pay", "effect": "unsafe", "outcome": None, "by": None} | told
    async with database.pool.connection() as connection:
        await connection.execute(
            "insert into boring.effect (key, thread_id, run_id, call_id, tool, effect, arguments, "
            "idempotency_key, outcome, resolved_by) values (%(key)s, 't', 'r', %(call_id)s, %(tool)s, "
            "%(effect)s, %(arguments)s, %(key)s, %(outcome)s, %(by)s)",
            {"key": key, "arguments": Jsonb({"order": 7}), **entry},
        )


async def test_latencies_are_those_of_calls_for_which_the_tool_was_run(database: Database) -> None:
    for ms in (10.0, 20.0, 30.0):
        await logged(database, latency_ms=ms)
    await logged(database, latency_ms=40.0, outcome="timeout")
    for outcome in ("invalid", "duplicate", "refused", "rejected", "stopped"):
        await logged(database, latency_ms=0.1, attempt=0, outcome=outcome)
    await logged(database, latency_ms=0.1, replayed=True, key="k")
    await intended(database, "k2", outcome="ok", by="boss")
    await logged(database, latency_ms=0.1, key="k2")
    (one,) = await tool_figures(database)
    assert (one.tool, one.effect, one.calls, one.runs, one.errors) == ("look", "read", 11, 4, 1)
    assert (one.p50_ms, one.p95_ms, one.error_rate) == (25.0, pytest.approx(38.5), 0.25)


async def test_a_tool_that_was_never_run_has_no_rate_and_no_latency(database: Database) -> None:
    await logged(database, tool="ghost", effect=None, attempt=0, outcome="unknown_tool")
    (one,) = await tool_figures(database)
    assert (one.effect, one.calls, one.error_rate, one.p50_ms, one.p95_ms) == (None, 1, None, None, None)


async def test_only_the_time_that_was_asked_for_counts(database: Database) -> None:
    await logged(database, ago=timedelta(hours=2))
    await logged(database)
    assert [one.calls for one in await tool_figures(database, since=timedelta(hours=1))] == [1]
    assert [one.calls for one in await tool_figures(database)] == [2]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Wanted(), ["new", "old", "oldest"]),
        (Wanted(tool="pay"), ["old"]),
        (Wanted(run_id="r2"), ["oldest"]),
        (Wanted(thread_id="t2"), ["oldest"]),
        (Wanted(outcome="error"), ["old"]),
        (Wanted(since=timedelta(minutes=90)), ["new", "old"]),
        (Wanted(tool="pay", run_id="r2"), []),
    ],
)
async def test_the_log_is_narrowed_and_newest_first(
    database: Database, wanted: Wanted, found: list[str]
) -> None:
    await logged(database, call_id="old", ago=timedelta(hours=1), tool="pay", outcome="error", error="no")
    await logged(database, call_id="new")
    await logged(database, call_id="oldest", ago=timedelta(hours=2), thread_id="t2", run_id="r2")
    assert [call.call_id for call in await recent_calls(database, wanted, limit=9)] == found
    assert len(await recent_calls(database, wanted, limit=1)) == min(1, len(found))


async def test_a_call_that_is_not_over_is_found_in_the_journal_once(database: Database) -> None:
    await intended(database, "k", call_id="c")
    (begun,) = await calls_named(database, Wanted(call_id="c"))
    assert (begun.outcome, begun.key, begun.arguments) == (None, "k", {"order": 7})
    await logged(database, call_id="c", key="k", tool="pay")
    assert [call.outcome for call in await calls_named(database, Wanted(call_id="c"))] == ["ok"]
