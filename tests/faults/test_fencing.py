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


async def taken_over(workers: Workers, job: Job) -> None:
    """Resume the run as soon as it may be, and to its end."""
    taking_over = replace(job, do="resume", stop="")
    while isinstance(report := await workers.done(taking_over), Report) and report.error:
        assert report.error.startswith("ThreadBusyError: Another process or request is working"), report
    assert report == Report(answer="It is done.", status="answered")


@pytest.mark.parametrize("durability", ["sync", "async"])
@pytest.mark.parametrize("ends", ["lease", "connection"])
async def test_a_stopped_worker_whose_thread_was_taken_over_and_given_back_saves_nothing_and_says_why(
    workers: Workers, job: Job, durability: Any, ends: str
) -> None:
    lease_s = 1.0 if ends == "lease" else 3600.0
    stopped = await workers.start(replace(job, durability=durability, lease_s=lease_s))
    assert await workers.ended(stopped) == (stopped, "stopped")
    if ends == "connection":
        await disconnect(job)
    await taken_over(workers, job)
    before = await saved(job)
    os.kill(stopped, signal.SIGCONT)
    _, refused = await workers.ended(stopped)
    assert isinstance(refused, Report)
    assert refused.error.startswith(LOST)
    assert await saved(job) == before


async def test_a_stopped_worker_holds_its_thread_as_long_as_its_lease_lasts_and_then_goes_on(
    workers: Workers, job: Job
) -> None:
    stopped = await workers.start(job)
    assert await workers.ended(stopped) == (stopped, "stopped")
    refused = await workers.done(replace(job, do="resume", stop="", lease_s=1.0))
    assert isinstance(refused, Report)
    assert refused.error.startswith("ThreadBusyError")
    os.kill(stopped, signal.SIGCONT)
    assert await workers.ended(stopped) == (stopped, Report(answer="It is done.", status="answered"))


async def test_a_worker_whose_lease_is_over_goes_on_if_nobody_took_its_thread(
    workers: Workers, job: Job
) -> None:
    stopped = await workers.start(replace(job, lease_s=1.0))
    assert await workers.ended(stopped) == (stopped, "stopped")
    async with await AsyncConnection.connect(job.database_url, autocommit=True) as connection:
        while await others(connection):
            await workers.done(replace(job, thread_id="other", stop=""))  # its worker cuts off the other one
    os.kill(stopped, signal.SIGCONT)
    assert await workers.ended(stopped) == (stopped, Report(answer="It is done.", status="answered"))


async def others(connection: AsyncConnection[Any]) -> int:
    """Return how many connections there are by the name of a process of ours."""
    found = await connection.execute(
        "select count(*) from pg_stat_activity where datname = current_database()"
        " and application_name like 'boring %'"
    )
    row = await found.fetchone()
    return row[0] if row else 0


def speak_in_a_transaction(request: dict[str, Any]) -> Reply:
    done = any(one["role"] == "tool" for one in request["messages"])
    call = Reply(tool_calls=(ToolCall("transactional", {"order": 7}),))
    return Reply(text="It is done.") if done else call


async def test_what_a_stopped_worker_had_not_committed_is_taken_back_whatever_its_address_calls_it(
    workers: Workers, postgres_url: str
) -> None:
    named = f"{postgres_url}&application_name=shop%20lease%201"
    async with Service() as service, ScriptedModel(speak_in_a_transaction) as model:
        job = Job(named, model.base_url, service.url, "t", stop="in a transaction", lease_s=1.0)
        stopped = await workers.start(job)
        assert await workers.ended(stopped) == (stopped, "stopped")
        await taken_over(workers, job)
        os.kill(stopped, signal.SIGCONT)
        _, refused = await workers.ended(stopped)
    assert isinstance(refused, Report)
    assert refused.error.startswith(LOST)
    async with await AsyncConnection.connect(postgres_url) as connection:
        tickets = await (await connection.execute("select count(*) from boring.ticket")).fetchone()
    assert tickets == (1,)
