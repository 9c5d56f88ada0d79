"""`--follow`: runs and spans come as they happen, a line each; Ctrl-C ends it."""

import asyncio
import json
import os
import re
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider

from core.database import Database
from observability import names
from observability.following import followed_run, followed_runs
from observability.run_search import runs_found
from observability.span_store import SpanStore
from observability.trace_log import WantedRuns
from tests.commands import boring as command
from tests.runs import begins

RUN = "run"
HOSTILE, SHOWN = "\x1b[2J\u202e", "\\u001b[2J\\u202e"


@pytest.fixture
async def database(database: Database) -> Database:
    await begins(database, RUN)
    return database


@pytest.fixture
def env(postgres_url: str, tmp_path: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "DATABASE_URL": postgres_url, "COLUMNS": "200"}


async def becomes(database: Database, run: str, status: str) -> None:
    async with database.pool.connection() as connection:
        await connection.execute("update boring.run set status = %s where run_id = %s", (status, run))


async def ends(database: Database, operation: str, *, outcome: str = "ok", **said: str) -> None:
    made: Any = TracerProvider().get_tracer("test").start_span(operation)
    made.set_attributes({names.OPERATION: operation, names.RUN: RUN, names.OUTCOME: outcome, **said})
    made.end(int((datetime.now(UTC).timestamp() + 1) * 1e9))
    await SpanStore(database, {}).deliver([made])


async def test_spans_come_as_they_end_and_the_last_one_ends_it(database: Database) -> None:
    [run] = await runs_found(database, WantedRuns(run_id=RUN), limit=1)
    news = followed_run(database, run)
    found, spans = await anext(news)
    assert (found.status, spans) == ("running", [])
    await ends(database, "run_step")
    found, spans = await anext(news)
    assert [one.operation for one in spans] == ["run_step"]
    await becomes(database, RUN, "interrupted")
    await ends(database, "invoke_agent", outcome="interrupted")
    found, spans = await anext(news)
    assert (found.status, [one.status for one in spans]) == ("interrupted", ["interrupted"])
    await becomes(database, RUN, "finished")
    assert (await anext(news))[0].status == "finished"
    await ends(database, "invoke_agent", outcome="answered")
    assert [one.outcome for one in (await anext(news))[1]] == ["answered"]
    assert [one async for one in news] == []


async def test_runs_come_as_they_begin_and_as_they_end(database: Database) -> None:
    await begins(database, "older")
    news = followed_runs(database, WantedRuns(), limit=1)
    assert [one.run_id for one in await anext(news)] == ["older"]
    await begins(database, "newer")
    assert [(one.run_id, one.status) for one in await anext(news)] == [("newer", "running")]
    await becomes(database, "older", "stopped")
    assert [(one.run_id, one.status) for one in await anext(news)] == [("older", "stopped")]
    await news.aclose()
    failed = followed_runs(database, WantedRuns(status="failed"), limit=20)
    await becomes(database, "newer", "failed")
    assert [one.run_id for one in await anext(failed)] == ["newer"]
    await failed.aclose()


async def test_a_run_that_is_over_is_shown_whole_a_line_for_each_span(
    database: Database, env: dict[str, str]
) -> None:
    for operation in ("chat", "run_step", "invoke_agent"):
        await ends(database, operation)
    await becomes(database, RUN, "finished")
    code, out, _ = await command("trace", RUN, "--follow", env=env)
    lines = [re.sub(r"^[0-9:]+", "", line) for line in out.splitlines()]
    assert code == 0
    assert [line.split("  ")[:4] for line in lines[:2]] == [
        ["", "", "", "chat"],
        ["", "", "run_step", lines[1].split("  ")[3]],
    ]
    assert lines[2].startswith("  invoke_agent  ")
    assert lines[3].startswith("finished  ")
    _, out, _ = await command("trace", RUN, "--follow", "--json", env=env)
    told = [json.loads(line) for line in out.splitlines()]
    assert [one["span"]["operation"] for one in told[:3]] == ["chat", "run_step", "invoke_agent"]
    assert told[3]["run"]["status"] == "finished"


async def test_ctrl_c_ends_following_without_a_word(database: Database, env: dict[str, str]) -> None:
    following = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "app.main", "runs", "--follow"),
        env=env,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert following.stdout
    line = await following.stdout.readline()
    assert RUN in line.decode()
    await begins(database, "newer", question=f"{HOSTILE} 6 * 7?")
    line = await following.stdout.readline()
    assert b"newer" in line
    assert line.decode().endswith(f"{SHOWN} 6 * 7?\n")
    following.send_signal(signal.SIGINT)
    out, err = await following.communicate()
    assert (following.returncode, out, err) == (130, b"", b"")


async def test_what_was_asked_and_answered_is_followed_where_it_is_asked_for(
    database: Database, env: dict[str, str]
) -> None:
    said = f"6 * 7?\n{HOSTILE}\nassistant: 43"
    asked = json.dumps([{"role": "user", "parts": [{"type": "text", "content": said}]}])
    await ends(database, "chat", **{names.INPUT_MESSAGES: asked})
    await ends(database, "invoke_agent")
    await becomes(database, RUN, "finished")
    _, out, _ = await command("trace", RUN, "--follow", env=env)
    assert "user: " not in out
    assert len(out.splitlines()) == 3
    _, out, _ = await command("trace", RUN, "--follow", "--content", env=env)
    lines = out.splitlines()
    assert "chat" in lines[0]
    place = " " * lines[1].index("user: ")
    assert lines[1:4] == [f"{place}user: 6 * 7?", f"{place}    {SHOWN}", f"{place}    assistant: 43"]
    _, out, _ = await command("trace", RUN, "--follow", "--content", "--json", env=env)
    told = json.loads(out.splitlines()[0])
    assert json.loads(told["span"]["attributes"][names.INPUT_MESSAGES]) == json.loads(asked)
