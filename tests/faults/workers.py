"""Workers of an agent, each a process of its own that can crash, be stopped or be outrun.

They are forked from one, the ground, in which everything is imported.
"""

import asyncio
import json
import os
import signal
import traceback
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection
from socket import socketpair
from typing import Any, Final, Literal

from langchain_core.messages import HumanMessage
from langchain_openai import ChatOpenAI
from psycopg import AsyncConnection
from pydantic import SecretStr

from core.context import RunContext
from core.errors import BoringError
from core.process import opened_process
from core.protocols import Model
from core.settings import Settings
from graphs.recovery import resume_thread
from graphs.single import Agent, create_agent
from memory.checkpoints import postgres_checkpointer
from tests.commands import FORKING
from tests.faults.outside import CRASHED, Where, crashing, tools_of_every_class

Stop = Literal["", "before its intent", "in a read", "in a transaction"]

_IN: Final = {"in a read": "read", "in a transaction": "transactional"}
"""Tools that a worker stops itself in."""


@dataclass(frozen=True)
class Job:
    """What a worker does.

    Attributes:
        do: begin a turn, or go on with the last one.
        crash_before, crash_after: the tool whose effect it crashes at; before `receive`: nothing is done yet
            about a turn that is in its checkpoint.
        stop: where it stops itself, to be continued by a signal.
        answer: what it says to every question, once.
    """

    database_url: str
    model_url: str
    service_url: str
    thread_id: str
    do: Literal["begin", "resume"] = "begin"
    crash_before: str = ""
    crash_after: str = ""
    stop: Stop = ""
    answers: Mapping[str, Any] = field(default_factory=dict[str, Any])
    durability: Literal["sync", "async"] = "sync"
    lease_s: float = 30.0


@dataclass(frozen=True)
class Report:
    """What came of a job: an answer, questions by the id of their interrupt, or an error."""

    answer: str = ""
    status: str = ""
    questions: dict[str, Any] = field(default_factory=dict[str, Any])
    error: str = ""


async def work(job: Job) -> Report:
    url = SecretStr(job.database_url)
    settings = Settings(database_url=url, database_pool_size=4, lease_s=job.lease_s)
    async with opened_process(settings):
        try:
            return reported(await _values(await agent_of(job), job))
        except BoringError as error:
            return Report(error=f"{type(error).__name__}: {error}")


async def agent_of(job: Job) -> Agent:
    where = Where(
        job.service_url,
        before=_stopping(_IN[job.stop]) if job.stop in _IN else crashing(job.crash_before),
        after=crashing(job.crash_after),
    )
    if job.stop == "before its intent":
        where = Where(job.service_url, approval=_stopping_policy())
    llm = ChatOpenAI(base_url=job.model_url, api_key=SecretStr("x"), model="scripted", max_retries=0)
    return create_agent(
        llm=_crash_at_once if job.crash_before == "receive" else llm,
        tools=tools_of_every_class(where),
        checkpointer=await postgres_checkpointer(),
    )


async def _crash_at_once() -> Model:
    os._exit(CRASHED)


async def _values(agent: Agent, job: Job) -> dict[str, Any]:
    if job.do == "resume":
        answers = job.answers or None
        return await resume_thread(agent, job.thread_id, answers=answers, durability=job.durability)
    asked: Any = {"messages": [HumanMessage("Do it.")]}
    config: Any = {"configurable": {"thread_id": job.thread_id}}
    return await agent.ainvoke(asked, config, context=RunContext(user="boss"), durability=job.durability)


def reported(values: dict[str, Any]) -> Report:
    if questions := values.get("__interrupt__"):
        return Report(questions={one.id: one.value for one in questions})
    return Report(answer=values["answer"]["text"], status=values["answer"]["status"])


def _stopping(at: str) -> Callable[[str], None]:
    def stop(name: str) -> None:
        if name == at:
            os.kill(os.getpid(), signal.SIGSTOP)

    return stop


def _stopping_policy() -> Callable[[Mapping[str, Any]], None]:
    def nobody_is_asked(values: Mapping[str, Any]) -> None:
        del values
        os.kill(os.getpid(), signal.SIGSTOP)

    return nobody_is_asked


async def disconnect(job: Job) -> None:
    """Terminate every connection of the worker that holds the thread: that it is there is forgotten."""
    async with await AsyncConnection.connect(job.database_url, autocommit=True) as connection:
        ended = await connection.execute(
            "select pg_terminate_backend(pid, 10000) from pg_stat_activity "
            "where datname = current_database() and pid <> pg_backend_pid()"
        )
        assert await ended.fetchall()


class Workers:
    """Starts workers and tells how they end."""

    def __init__(self, ground: Connection) -> None:
        self._ground = ground

    async def start(self, job: Job) -> int:
        """Start a worker and return its process id."""
        return int(await self._said({"start": asdict(job)}))

    async def ended(self, *pids: int) -> tuple[int, Report | str]:
        """Wait until one of these workers ends or stops; return it, and its report or how else it ended."""
        pid, code, report = await self._said({"wait": pids})
        return pid, Report(**report) if code == 0 else ("stopped" if code is None else f"code {code}")

    async def done(self, job: Job) -> Report | str:
        """Run a worker to its end."""
        return (await self.ended(await self.start(job)))[1]

    async def _said(self, command: dict[str, Any]) -> Any:
        self._ground.send(command)
        return await asyncio.to_thread(self._ground.recv)


@contextmanager
def opened_workers() -> Generator[Workers]:
    """Have workers; those that are left at the end are killed."""
    here, there = (Connection(end.detach()) for end in socketpair())
    process = FORKING.Process(target=_serve, args=(there,))
    process.start()
    there.close()
    with here:
        yield Workers(here)
    process.join()


def _serve(told: Connection) -> None:
    _Ground(told).serve()


class _Ground:
    """Forks workers, reads their reports and buries them."""

    def __init__(self, told: Connection) -> None:
        self._told = told
        self._reports: dict[int, int] = {}

    def serve(self) -> None:
        with suppress(EOFError):
            while True:
                command = self._told.recv()
                said = self._start(command["start"]) if "start" in command else self._wait(command["wait"])
                self._told.send(said)
        for pid in self._reports:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)

    def _start(self, job: dict[str, Any]) -> int:
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            self._told.close()  # whoever ends the ground ends what it is told
            _be_worker(Job(**job), writing)
        os.close(writing)
        self._reports[pid] = reading
        return pid

    def _wait(self, pids: list[int]) -> tuple[int, int | None, dict[str, Any]]:
        pid, status = os.waitpid(pids[0] if len(pids) == 1 else -1, os.WUNTRACED)
        if os.WIFSTOPPED(status):
            return pid, None, {}
        with os.fdopen(self._reports.pop(pid)) as told:
            report = told.read()
        return pid, os.waitstatus_to_exitcode(status), json.loads(report or "{}")


def _be_worker(job: Job, writing: int) -> None:
    try:
        report = asyncio.run(work(job))
        os.write(writing, json.dumps(asdict(report)).encode())
        os._exit(0)
    except BaseException:  # noqa: BLE001 - the parent's frames are not to be unwound in here
        traceback.print_exc()
    finally:
        os._exit(1)
