"""Two that want one thread: one gets it, the other is told, and every effect happens once."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from psycopg import AsyncConnection
from pydantic import SecretStr

from core.errors import ThreadBusyError
from core.process import opened_process
from core.settings import Settings
from evals.scripted_model import Reply, ScriptedModel, ToolCall
from graphs.recovery import resume_thread
from tests.faults.outside import CRASHED, Service
from tests.faults.workers import Job, Report, Workers, agent_of, disconnect, opened_workers

BUSY = "ThreadBusyError: Another process or request is working on the thread 't'. Wait until it has ended"
TAKEN_OVER = "ThreadBusyError: Another process has taken over the thread 't'; this one does nothing more"
STEPS = ("read", "unsafe", "idempotent")
DONE = Report(answer="It is done.", status="answered")


def speak(request: dict[str, Any]) -> Reply:
    """Call the tools one after the other, then say so."""
    last_question = max(i for i, one in enumerate(request["messages"]) if one["role"] == "user")
    made = sum(one["role"] == "tool" for one in request["messages"][last_question:])
    if made == len(STEPS):
        return Reply(text="It is done.")
    return Reply(tool_calls=(ToolCall(STEPS[made], {"order": 7}),))


class Gate:
    """Holds the first request of a tool at the service until it is opened."""

    def __init__(self, service: Service, tool: str) -> None:
        self.reached = asyncio.Event()
        self.opened = asyncio.Event()
        self._tool = tool
        service.arrived = self._arrived

    async def _arrived(self, tool: str) -> None:
        if tool == self._tool and not self.reached.is_set():
            self.reached.set()
            await self.opened.wait()


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with Service() as opened:
        yield opened


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    with opened_workers() as opened:
        yield opened


@pytest.fixture
async def job(postgres_url: str, service: Service) -> AsyncIterator[Job]:
    async with ScriptedModel(speak) as model:
        yield Job(postgres_url, model.base_url, service.url, thread_id="t")


def once(service: Service) -> bool:
    """Tell whether everything has happened, and nothing twice."""
    return [service.effects(tool) for tool in STEPS] == [0, 1, 1] and len(service.asked("unsafe")) == 1


async def rows(job: Job, statement: Any, *values: str) -> list[Any]:
    async with await AsyncConnection.connect(job.database_url) as connection:
        return await (await connection.execute(statement, values)).fetchall()


@pytest.mark.parametrize("durability", ["sync", "async"])
async def test_of_two_workers_that_begin_a_turn_one_wins(
    workers: Workers, service: Service, job: Job, durability: Any
) -> None:
    gate = Gate(service, "unsafe")
    job = replace(job, durability=durability)
    racing = {await workers.start(job), await workers.start(job)}
    loser, refused = await workers.ended(*racing)
    assert isinstance(refused, Report)
    assert refused.error.startswith(BUSY)
    gate.opened.set()
    assert await workers.ended(*(racing - {loser})) == (racing.difference({loser}).pop(), DONE)
    assert once(service)
    assert await rows(job, "select count(*), max(status) from boring.run") == [(1, "finished")]


async def test_of_two_workers_that_resume_a_killed_run_one_wins(
    workers: Workers, service: Service, job: Job
) -> None:
    assert await workers.done(replace(job, crash_after="read")) == f"code {CRASHED}"
    gate = Gate(service, "unsafe")
    resuming = replace(job, do="resume")
    racing = {await workers.start(resuming), await workers.start(resuming)}
    loser, refused = await workers.ended(*racing)
    assert isinstance(refused, Report)
    assert refused.error.startswith(BUSY)
    gate.opened.set()
    assert await workers.ended(*(racing - {loser})) == (racing.difference({loser}).pop(), DONE)
    assert once(service)


async def test_of_two_invocations_in_one_process_one_wins(service: Service, job: Job) -> None:
    gate = Gate(service, "unsafe")
    asked: Any = {"messages": [HumanMessage("Do it.")]}
    config: Any = {"configurable": {"thread_id": "t"}}
    async with opened_process(Settings(database_url=SecretStr(job.database_url))):
        agent = await agent_of(job)
        winner = asyncio.create_task(agent.ainvoke(asked, config, durability="sync"))
        await gate.reached.wait()
        with pytest.raises(ThreadBusyError, match="working on the thread 't'"):
            await agent.ainvoke(asked, config, durability="sync")
        gate.opened.set()
        assert (await winner)["answer"]["text"] == "It is done."
    assert once(service)


async def test_a_refused_rival_does_not_spoil_the_run_of_a_winner_that_is_killed(
    workers: Workers, service: Service, job: Job
) -> None:
    gate = Gate(service, "unsafe")
    winner = await workers.start(job)
    await gate.reached.wait()
    refused = await workers.done(job)
    assert isinstance(refused, Report)
    assert refused.error.startswith(BUSY)
    os.kill(winner, signal.SIGKILL)
    assert await workers.ended(winner) == (winner, "code -9")
    asked = await workers.done(replace(job, do="resume"))
    assert isinstance(asked, Report)
    answers = {one: {"outcome": "happened", "result": "paid"} for one in asked.questions}
    assert await workers.done(replace(job, do="resume", answers=answers)) == DONE
    assert once(service)


async def test_a_second_turn_that_is_killed_before_it_is_received_is_a_turn_of_its_own(
    workers: Workers, service: Service, job: Job
) -> None:
    assert await workers.done(job) == DONE
    assert await workers.done(replace(job, crash_before="receive")) == f"code {CRASHED}"
    assert await workers.done(replace(job, do="resume")) == DONE
    assert [len(service.asked(tool)) for tool in STEPS] == [2, 2, 2]
    assert len(service.keys("idempotent")) == 2
    assert await rows(job, "select count(*), max(status), min(status) from boring.run") == [
        (2, "finished", "finished")
    ]


async def test_a_stopped_worker_whose_thread_was_taken_over_is_refused_at_its_next_intent(
    workers: Workers, service: Service, job: Job
) -> None:
    stopped = await workers.start(replace(job, stop="before its intent"))
    assert await workers.ended(stopped) == (stopped, "stopped")
    await disconnect(job)
    assert await workers.done(replace(job, do="resume")) == DONE
    os.kill(stopped, signal.SIGCONT)
    _, refused = await workers.ended(stopped)
    assert isinstance(refused, Report)
    assert refused.error.startswith(TAKEN_OVER)
    assert once(service)
    assert await rows(job, "select status from boring.run") == [("finished",)]


async def test_a_stopped_worker_that_wakes_in_a_step_of_reading_repeats_nothing(
    workers: Workers, service: Service, job: Job
) -> None:
    stopped = await workers.start(replace(job, stop="in a read"))
    assert await workers.ended(stopped) == (stopped, "stopped")
    await disconnect(job)
    assert await workers.done(replace(job, do="resume")) == DONE
    os.kill(stopped, signal.SIGCONT)
    _, report = await workers.ended(stopped)
    assert isinstance(report, Report)
    assert once(service)


async def test_a_cancelled_invocation_does_not_lock_the_thread(service: Service, job: Job) -> None:
    gate = Gate(service, "read")
    asked: Any = {"messages": [HumanMessage("Do it.")]}
    config: Any = {"configurable": {"thread_id": "t"}}
    async with opened_process(Settings(database_url=SecretStr(job.database_url))):
        agent = await agent_of(job)
        cancelled = asyncio.create_task(agent.ainvoke(asked, config, durability="sync"))
        await gate.reached.wait()
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        assert (await resume_thread(agent, "t"))["answer"]["text"] == "It is done."
    assert once(service)


async def test_a_run_that_waits_in_one_process_is_answered_by_another_at_once(
    workers: Workers, service: Service, job: Job
) -> None:
    assert await workers.done(replace(job, crash_before="unsafe")) == f"code {CRASHED}"
    async with opened_process(Settings(database_url=SecretStr(job.database_url))):  # it stays open
        waiting = await resume_thread(await agent_of(job), "t")
        (question,) = waiting["__interrupt__"]
        assert await rows(job, "select * from boring.thread_lease") == []
        answers = {question.id: {"outcome": "not_happened"}}
        assert await workers.done(replace(job, do="resume", answers=answers)) == DONE
    assert once(service)
