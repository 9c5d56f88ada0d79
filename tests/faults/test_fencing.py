"""A worker that stood still while another one took its thread over saves nothing when it goes on."""

import os
import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import pytest
from psycopg import AsyncConnection
from psycopg.sql import SQL, Identifier

from evals.scripted_model import Reply, ScriptedModel, ToolCall
from tests.faults.outside import Service
from tests.faults.workers import Job, Report, Workers, disconnect, opened_workers

LOST = "ThreadBusyError: Another process has taken over the thread 't'; this one does nothing more on it. It"
TABLES = ("checkpoints", "checkpoint_blobs", "checkpoint_writes")


def speak(request: dict[str, Any]) -> Reply:
    """Read once, then say so."""
    read = any(one["role"] == "tool" for one in request["messages"])
    return Reply(text="It is done.") if read else Reply(tool_calls=(ToolCall("read", {"order": 7}),))


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    with opened_workers() as opened:
        yield opened


@pytest.fixture
async def job(postgres_url: str) -> AsyncIterator[Job]:
    async with Service() as service, ScriptedModel(speak) as model:
        yield Job(postgres_url, model.base_url, service.url, thread_id="t", stop="in a read")


async def saved(job: Job) -> dict[str, list[Any]]:
    """Return everything that is kept of all threads."""
    async with await AsyncConnection.connect(job.database_url) as connection:
        kept: dict[str, list[Any]] = {}
        for table in TABLES:
            rows = SQL("select t::text from {} as t order by 1").format(Identifier(table))
            kept[table] = await (await connection.execute(rows)).fetchall()
        return kept


@pytest.mark.parametrize("durability", ["sync", "async"])
async def test_a_stopped_worker_whose_thread_was_taken_over_and_given_back_saves_nothing_and_says_why(
    workers: Workers, job: Job, durability: Any
) -> None:
    stopped = await workers.start(replace(job, durability=durability))
    assert await workers.ended(stopped) == (stopped, "stopped")
    await disconnect(job)
    taking_over = replace(job, do="resume", stop="")
    assert await workers.done(taking_over) == Report(answer="It is done.", status="answered")
    before = await saved(job)
    os.kill(stopped, signal.SIGCONT)
    _, refused = await workers.ended(stopped)
    assert isinstance(refused, Report)
    assert refused.error.startswith(LOST)
    assert await saved(job) == before
