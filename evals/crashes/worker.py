"""One worker: begins a run or recovers it, answers what it asks, and tells how far it got."""

import gc
import json
import os
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from langchain_core.messages import HumanMessage
from langchain_openai import ChatOpenAI
from langgraph.types import Interrupt
from pydantic import SecretStr

from core.context import RunContext
from core.errors import InputError
from core.process import Process, opened_process
from core.settings import Settings
from evals.crashes.boundaries import Boundaries
from evals.crashes.model import TEAMS
from evals.crashes.world import CHAIN, ROLES, World, journaled_tools, unjournaled_tools
from graphs.hierarchy import Team, create_hierarchy
from graphs.recovery import resume_thread
from graphs.single import Agent, create_agent
from memory.checkpoints import postgres_checkpointer
from memory.runs import latest_run
from tools.contract import Tool

CHECKPOINT_LAG_S = 0.03
_MAX_QUESTIONS = 20


@dataclass(frozen=True, slots=True)
class Job:
    """What one worker is to do.

    Attributes:
        by_teams: the agent is a supervisor of teams, and refunds need a chain of approval.
        folder: of this run: the ledger, the person's notebook, the worker's report.
        crash_at: the boundary at which it ends.
    """

    thread_id: str
    question: str
    durability: Literal["sync", "async"]
    journal: bool
    by_teams: bool
    crash_at: int | None
    folder: Path
    database_url: str
    model_url: str


@dataclass(frozen=True, slots=True)
class Report:
    """How a worker that lived on ended.

    Attributes:
        finished: the run has its answer, and its row says so.
        crossed: boundaries it crossed.
        asked_twice: questions that were put to the person although the answer was recorded.
    """

    finished: bool
    crossed: int
    asked_twice: int


async def work(job: Job) -> Report:
    """Begin the run or go on with it until it is finished."""
    boundaries = Boundaries(job.crash_at)
    boundaries.watch(checkpoint_lag_s=CHECKPOINT_LAG_S if job.durability == "async" else 0.0)
    world = World(job.folder / "ledger", job.thread_id, boundaries.cross)
    settings = Settings(database_url=SecretStr(job.database_url), database_pool_size=4)
    async with opened_process(settings) as process:
        agent = await _agent(job, world)
        person = _Person(job.folder / "answers", world, process)
        boundaries.armed = True
        values = await _begun(agent, job)
        for _ in range(_MAX_QUESTIONS):
            interrupts: list[Interrupt] = list(values.get("__interrupt__", ()))
            if not interrupts:
                break
            answers = {one.id: await person.answer(one) for one in interrupts}
            values = await resume_thread(agent, job.thread_id, answers=answers, durability=job.durability)
        boundaries.armed = False
        row = await latest_run(await process.database(), job.thread_id)
        finished = row is not None and row.status == "finished" and not values.get("__interrupt__")
        return Report(finished, boundaries.crossed, person.asked_twice)


async def _agent(job: Job, world: World) -> Agent:
    saver, llm = await postgres_checkpointer(), _llm(job.model_url)
    if not job.by_teams:
        tools = journaled_tools(world) if job.journal else unjournaled_tools(world)
        return create_agent(llm=llm, tools=tools, checkpointer=saver)
    tools = journaled_tools(world, refunds=CHAIN) if job.journal else unjournaled_tools(world)
    teams = [
        Team(name, f"Does {doing}.", _member(llm, name, [one for one in tools if one.name in doing]))
        for name, doing in TEAMS.items()
    ]
    return create_hierarchy(llm=llm, teams=teams, checkpointer=saver)


def _member(llm: ChatOpenAI, name: str, tools: list[Tool]) -> Agent:
    return create_agent(llm=llm, tools=tools, name=name, roles=ROLES)


def _llm(url: str) -> ChatOpenAI:
    return ChatOpenAI(base_url=url, api_key=SecretStr("scripted"), model="scripted", max_retries=0)


def warm_up() -> None:
    """Import in the parent what every worker would import anew."""
    world = World(Path(os.devnull), "", lambda: None)
    create_agent(llm=_llm("http://127.0.0.1:9/v1"), tools=journaled_tools(world))
    gc.collect()
    gc.freeze()


async def _begun(agent: Agent, job: Job) -> dict[str, Any]:
    """Go on with what there is; where nothing is known of the thread, the request is sent (again)."""
    try:
        values = await resume_thread(agent, job.thread_id, durability=job.durability)
    except InputError:
        run_id = uuid.uuid5(uuid.NAMESPACE_OID, job.thread_id)
        asked: Any = {"messages": [HumanMessage(job.question)]}
        values = await agent.ainvoke(
            asked,
            {"configurable": {"thread_id": job.thread_id}, "run_id": run_id},
            context=RunContext(user="boss", max_steps=20),
            durability=job.durability,
        )
    return values


class _Person:
    """Answers questions by what has really happened, and remembers what was answered."""

    def __init__(self, notebook: Path, world: World, process: Process) -> None:
        self._notebook = notebook
        self._world = world
        self._process = process
        self.asked_twice = 0

    async def answer(self, question: Interrupt) -> dict[str, Any]:
        """Return the answer; one given before is sent again as it was, since its delivery was cut off."""
        known: dict[str, Any] = json.loads(self._notebook.read_text()) if self._notebook.exists() else {}
        if question.id not in known:
            known[question.id] = self._decided(question.value)
            self._notebook.write_text(json.dumps(known))
        elif await self._is_recorded(question.id, known[question.id]["question"]):
            self.asked_twice += 1
        return known[question.id]["answer"]

    def _decided(self, payload: dict[str, Any]) -> dict[str, Any]:
        if payload["kind"] == "approval":
            roles = [one["role"] for one in payload["approval"]["levels"] if one["state"] == "open"]
            who = ROLES[roles[0]][0] if roles else "ann"
            return {"question": payload, "answer": {"decisions": [{"type": "approve"}], "by": who}}
        happened = self._world.times(payload["tool"]) > 0
        outcome = "happened" if happened else "not_happened"
        return {"question": payload, "answer": {"outcome": outcome, "result": "done, says a person"}}

    async def _is_recorded(self, question_id: str, payload: dict[str, Any]) -> bool:
        del question_id
        database = await self._process.database()
        async with database.pool.connection() as connection:
            found = await connection.execute(
                "select 1 from boring.question where thread_id = %s and payload = %s::jsonb "
                "and answer is not null",
                (self._world.thread_id, json.dumps(payload)),
            )
            return await found.fetchone() is not None


def run_worker(job: Job, run: Callable[[Any], Report]) -> None:
    """Be a worker, in a process of its own, and never return."""
    code = 1
    try:
        report = run(work(job))
        (job.folder / "report").write_text(json.dumps(asdict(report)))
        code = 0
    finally:
        os._exit(code)
