"""Postgres goes down at once while tools are running, and comes back: what they did is still written down."""

import asyncio
import os
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage, ToolMessage
from psycopg import AsyncConnection
from pydantic import SecretStr

from core.context import RunContext
from core.embedded.flock import is_held
from core.embedded.home import lock_file
from core.embedded.postgres import join, leave, status
from core.migrations import apply_migrations
from core.process import opened_process
from core.settings import Settings
from evals.scripted_model import Reply, ScriptedModel, ToolCall
from graphs.recovery import resume_thread
from tests.faults.outside import CLASSES, Service
from tests.faults.workers import Job, agent_of, opened_workers

pytestmark = pytest.mark.xdist_group("restart")  # its tests share a server, so one worker runs them


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[Path, str]]:
    """A server of its own, its folder and its address."""
    # Not pytest's own temporary folder: root's is closed to the user that Postgres runs as.
    folder = Path(tempfile.mkdtemp(prefix="boring-restart-"))
    url, hold = join(folder)
    asyncio.run(apply_migrations(url))
    yield folder, url
    leave(folder, hold)
    assert not is_held(lock_file(folder, "watchdog"), timeout_s=60)
    shutil.rmtree(folder)


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with Service() as opened:
        yield opened


class Outage:
    """Shuts Postgres down at once when all tools are running, and lets them go on when it is down.

    Attributes:
        killing: a process that dies with it.
    """

    def __init__(self, folder: Path) -> None:
        self.killing: int | None = None
        self._folder = folder
        self._missing = set(CLASSES)
        self._down = asyncio.Event()

    async def arrived(self, tool: str) -> None:
        self._missing.discard(tool)
        if not self._missing and not self._down.is_set():
            await asyncio.to_thread(self._shut_down)
            self._down.set()
        await self._down.wait()

    def _shut_down(self) -> None:
        pid = status(self._folder).pid
        assert pid
        os.kill(pid, signal.SIGQUIT)  # "immediate": no backend ends what it has begun
        if self.killing is not None:
            os.kill(self.killing, signal.SIGKILL)
        while status(self._folder).pid == pid:
            time.sleep(0.005)


def speak(request: dict[str, Any]) -> Reply:
    """Call all tools at once, then say so."""
    if request["messages"][-1]["role"] == "tool":
        return Reply(text="It is done.")
    return Reply(tool_calls=tuple(ToolCall(name, {"order": 7}) for name in CLASSES))


async def rows(url: str, statement: Any, *values: str) -> list[Any]:
    async with await AsyncConnection.connect(url) as connection:
        return await (await connection.execute(statement, values)).fetchall()


async def all_is_done_once(url: str, thread: str, service: Service, values: dict[str, Any]) -> None:
    """Check the answer, the calls' records, the journal, and what has really happened."""
    assert values["answer"]["text"] == "It is done."
    results = {
        one.name: one.artifact["outcome"] for one in values["messages"] if isinstance(one, ToolMessage)
    }
    assert results == dict.fromkeys(CLASSES, "ok")
    journal = await rows(url, "select tool, outcome from boring.effect where thread_id = %s", thread)
    assert dict(journal) == dict.fromkeys(CLASSES[1:], "ok")
    assert Counter(tool for tool, _ in service.ledger) == {"idempotent": 1, "unsafe": 1, "reconciled": 1}
    assert await rows(url, "select count(*) from boring.ticket where title = 'order 7'") == [(1,)]
    assert await rows(url, "select status from boring.run where thread_id = %s", thread) == [("finished",)]


async def test_a_run_goes_on_when_postgres_is_back(server: tuple[Path, str], service: Service) -> None:
    folder, url = server
    service.arrived = Outage(folder).arrived
    async with ScriptedModel(speak) as model, opened_process(Settings(database_url=SecretStr(url))):
        agent = await agent_of(Job(url, model.base_url, service.url, "t"))
        asked: Any = {"messages": [HumanMessage("Do it.")]}
        config: Any = {"configurable": {"thread_id": "t"}}
        values = await agent.ainvoke(asked, config, context=RunContext(user="boss"), durability="sync")
    assert len(service.asked("unsafe")) == 1
    await all_is_done_once(url, "t", service, values)


async def test_a_run_that_was_killed_with_postgres_is_resumed(
    server: tuple[Path, str], service: Service
) -> None:
    folder, url = server
    outage = Outage(folder)
    service.arrived = outage.arrived
    await rows(url, "delete from boring.ticket returning 1")
    with opened_workers() as workers:
        async with ScriptedModel(speak) as model, opened_process(Settings(database_url=SecretStr(url))):
            job = Job(url, model.base_url, service.url, "killed")
            outage.killing = await workers.start(job)
            assert await workers.ended(outage.killing) == (outage.killing, "code -9")
            leave(folder, (await asyncio.to_thread(join, folder))[1])  # it is back
            agent = await agent_of(job)
            values = await resume_thread(agent, "killed")
            (question,) = values["__interrupt__"]
            assert question.value["tool"] == "unsafe"
            answers = {question.id: {"outcome": "happened", "result": "paid"}}
            values = await resume_thread(agent, "killed", answers=answers)
    assert len(service.keys("idempotent")) == 1
    await all_is_done_once(url, "killed", service, values)
