"""What comes of a fault, for each class of effect: the table in `docs/effects.md`, row by row."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from core.context import RunContext
from core.process import Process, opened_process
from core.settings import Settings
from evals.scripted_model import Reply, ScriptedModel, ToolCall
from graphs.recovery import resume_thread
from graphs.single import Agent, create_agent
from memory.checkpoints import postgres_checkpointer
from tests.faults.outside import CLASSES, CRASHED, Answering, Service, Trouble, Where, tools_of_every_class
from tests.faults.workers import Job, Workers, opened_workers


@dataclass(frozen=True)
class Row:
    """What comes of a call.

    Attributes:
        attempts: as its record says; after a crash, those of the process that recovered it.
        sent: requests that reached the service, in whatever process.
        effects: how often it happened, by the service's ledger; for the transactional tool, its rows.
        outcome: in its record and in `boring.tool_call`.
        journal: the outcome in `boring.effect`, empty where it is not there.
        told: a part of what the model reads.
        asked: whether a person was asked if it happened. Here they look into the ledger and say the truth.
    """

    effect: str
    attempts: int
    sent: int
    effects: int
    outcome: str
    journal: str
    told: str
    asked: bool


PAGE = Path(__file__).resolve().parents[2] / "docs" / "effects.md"
NAMES = {"`unsafe` with `reconcile`": "reconciled"}


def table() -> dict[str, list[Row]]:
    """Return the table of the page, by fault; a fault that is not repeated goes for the rows below it."""
    rows, fault = dict[str, list[Row]](), ""
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == len(fields(Row)) + 1 and cells[2].isdigit():
            fault = cells[0] or fault
            effect = NAMES.get(cells[1], cells[1].strip("`"))
            attempts, sent, effects = map(int, cells[2:5])
            journal, asked, told = cells[6].replace("none", ""), cells[7] == "yes", cells[8].strip("…")
            row = Row(effect, attempts, sent, effects, cells[5], journal, told, asked=asked)
            rows.setdefault(fault, []).append(row)
    return rows


TABLE = table()
ANSWERING: dict[str, Answering] = {
    "timeout": "never",
    "HTTP 500": "500",
    "HTTP 429": "429",
    "connection reset": "reset",
}
TROUBLE: dict[str, Trouble] = {"malformed result": "malformed", "result too large": "too large"}
FAULTS = [fault for fault in TABLE if not fault.startswith("crash")]


def test_the_page_has_every_fault_for_every_class() -> None:
    assert [[row.effect for row in rows] for rows in TABLE.values()] == [list(CLASSES)] * 9


@pytest.fixture
async def process(postgres_url: str, tmp_path: Path) -> AsyncIterator[Process]:
    settings = Settings(database_url=SecretStr(postgres_url), data_dir=tmp_path, cache_dir=tmp_path)
    async with opened_process(settings) as opened:
        yield opened


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with Service() as opened:
        yield opened


def calling(*names: str) -> Any:
    """Return a model that calls the tools at once and then is content with what came of it."""

    def speak(request: dict[str, Any]) -> Reply:
        if request["messages"][-1]["role"] == "tool":
            return Reply(text="So be it.")
        return Reply(tool_calls=tuple(ToolCall(name, {"order": 7}) for name in names))

    return speak


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    with opened_workers() as opened:
        yield opened


async def agent_with(model: ScriptedModel, where: Where) -> Agent:
    llm = ChatOpenAI(base_url=model.base_url, api_key=SecretStr("x"), model="scripted", max_retries=0)
    return create_agent(
        llm=llm, tools=tools_of_every_class(where), checkpointer=await postgres_checkpointer()
    )


async def answered(
    agent: Agent, thread_id: str, values: dict[str, Any], service: Service
) -> tuple[dict[str, Any], set[str]]:
    """Answer what a person is asked; return the end of the run, and which tools were asked about."""
    questions = values.get("__interrupt__", ())
    answers = {
        one.id: {"outcome": "happened", "result": "done, says a person"}
        if service.effects(one.value["tool"])
        else {"outcome": "not_happened"}
        for one in questions
    }
    if answers:
        values = await resume_thread(agent, thread_id, answers=answers)
    return values, {one.value["tool"] for one in questions}


async def rows(process: Process, statement: Any, *values: str) -> list[Any]:
    async with (await process.database()).pool.connection() as connection:
        return await (await connection.execute(statement, values)).fetchall()


async def seen(process: Process, service: Service, message: ToolMessage, asked: set[str]) -> Row:
    """Return what came of a call; the three places where its outcome stands have to agree."""
    name, record = message.name or "", message.artifact
    logged = await rows(
        process, "select outcome, attempt from boring.tool_call where call_id = %s", record["call_id"]
    )
    assert logged == [{"outcome": record["outcome"], "attempt": record["attempt"]}]
    journal = await rows(process, "select outcome from boring.effect where call_id = %s", record["call_id"])
    tickets = await rows(process, "select count(*) from boring.ticket")
    return Row(
        effect=name,
        attempts=record["attempt"],
        sent=len(service.asked(name)),
        effects=tickets[0]["count"] if name == "transactional" else service.effects(name),
        outcome=record["outcome"],
        journal=journal[0]["outcome"] if journal else "",
        asked=name in asked,
        told=message.text,
    )


def matched(found: Row, expected: Row) -> Row:
    """Return `found` with its text cut to what the table says of it, where it holds that."""
    return replace(found, told=expected.told) if expected.told in found.told else found


@pytest.mark.parametrize("fault", FAULTS)
async def test_what_comes_of_a_fault(fault: str, process: Process, service: Service) -> None:
    service.answering = ANSWERING.get(fault, "well")
    where = Where(
        url=service.refusing_url if fault == "connection refused" else service.url,
        look_up_url=service.url,
        trouble=TROUBLE.get(fault, "none"),
        timeout_s=0.5 if fault == "timeout" else 30.0,
    )
    async with ScriptedModel(calling(*CLASSES)) as model:
        agent = await agent_with(model, where)
        asking: Any = {"messages": [HumanMessage("Do it.")]}
        config: Any = {"configurable": {"thread_id": "t"}}
        values = await agent.ainvoke(asking, config, context=RunContext(user="boss"))
        values, asked = await answered(agent, "t", values, service)
    results = {one.name: one for one in values["messages"] if isinstance(one, ToolMessage)}
    found = [await seen(process, service, results[name], asked) for name in CLASSES]
    assert [matched(*pair) for pair in zip(found, TABLE[fault], strict=True)] == TABLE[fault]
    assert values["answer"]["status"] == "answered"
    if fault == "HTTP 429":
        assert all(b - a >= 1 for n in CLASSES[:3] for a, b in pairwise(service.asked(n)))
    if fault == "result too large":
        assert all("[cut: 30" in one.text and len(one.text) < 20_200 for one in results.values())


@pytest.mark.parametrize("fault", ["crash before", "crash after"])
async def test_what_comes_of_a_crash(
    fault: str, process: Process, service: Service, postgres_url: str, workers: Workers
) -> None:
    """Every tool in a thread of its own, begun by a process that crashes, gone on with by another."""
    found: list[Row] = []
    for name in CLASSES:
        async with ScriptedModel(calling(name)) as model:
            job = Job(postgres_url, model.base_url, service.url, thread_id=name)
            job = replace(job, **{fault.replace(" ", "_"): name})
            assert await workers.done(job) == f"code {CRASHED}"
            agent = await agent_with(model, Where(service.url))
            values, asked = await answered(agent, name, await resume_thread(agent, name), service)
            (message,) = [one for one in values["messages"] if isinstance(one, ToolMessage)]
            found.append(await seen(process, service, message, asked))
            assert len(service.keys(name)) <= 1
    assert [matched(*pair) for pair in zip(found, TABLE[fault], strict=True)] == TABLE[fault]
