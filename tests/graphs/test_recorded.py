"""A graph of one's own around agents of ours is one run and one trace, asked by commands or by a program."""

import io
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, TypedDict
from uuid import UUID

import pytest
from langgraph.graph import START, StateGraph
from psycopg.rows import DictRow
from pydantic import SecretStr
from rich.console import Console

from app.graphs import graph_called, opened_graph
from app.inbox import graph_of
from app.pending import new_request
from app.session import Session, finish_last_run
from core.context import RunContext
from core.errors import InputError
from core.process import Process, opened_process
from core.settings import Settings
from evals.scripted_model import Reply, ScriptedModel, ToolCall
from graphs.recorded import recorded
from graphs.recovery import resume_settled
from memory.approvals import ApprovalRow, approvals, approvals_named
from observability.tracing import current_tracing
from tools.deciding import DecisionRefusedError, decide
from tools.questions import Decision

OWN = """
import os
from langchain_core.messages import AIMessage
from langchain_openai import ChatOpenAI
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Send
from pydantic import SecretStr
from graphs.single import create_agent
from guardrails.approval import always
from tools.contract import contract

async def pay(euros: int) -> str:
    \"\"\"Pay.\"\"\"
    return f"{euros} paid"

told = {"base_url": os.environ["SCRIPTED"], "api_key": SecretStr("none"), "stream_usage": True}
llm = ChatOpenAI(model="scripted", **told)
agent = create_agent(llm=llm, tools=[contract(pay)], name="payer")
asker = create_agent(llm=llm, tools=[contract(pay, approval=always)], name="asker")

def around(step, **options):
    return StateGraph(MessagesState).add_node("inner", step).add_edge(START, "inner").compile(**options)

async def call(state, called=agent):
    ended = await called.ainvoke({"messages": state["messages"][:1]})
    return {"messages": [AIMessage(ended["answer"]["text"])]}

async def ask(state):
    return await call(state, asker)

def twice(state):
    return [Send("inner", state), Send("inner", state)]

node = around(agent, name="node")
called = around(call, name="called")
fan = StateGraph(MessagesState).add_node("inner", call).add_conditional_edges(START, twice)
fan = fan.compile(name="fan")
row = StateGraph(MessagesState).add_node("one", call).add_node("two", call)
row = row.add_edge(START, "one").add_edge("one", "two").compile(name="row")
buyers = StateGraph(MessagesState).add_node("one", ask).add_node("two", ask)
buyers = buyers.add_edge(START, "one").add_edge("one", "two").compile(name="buyers")
asking = around(asker)
named = around(asker, name="buyer")
elsewhere = around(asker, name="seller")

async def raises(state):
    await call(state)
    raise RuntimeError("broken")

broken = around(raises, name="broken")
"""


class Number(TypedDict):
    number: int


@pytest.fixture
async def process(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Process]:
    (tmp_path / "own.py").write_text(OWN)
    graphs = {"broken": "./gone.py:graph", "shop": "./own.py:asking", "buying": "./own.py:named"}
    (tmp_path / "langgraph.json").write_text(json.dumps({"graphs": graphs}))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*sys.path])  # importing a file adds its folder
    settings = Settings(database_url=SecretStr(postgres_url), data_dir=tmp_path, cache_dir=tmp_path)
    async with ScriptedModel(pay_once) as model, opened_process(settings) as process:
        monkeypatch.setenv("SCRIPTED", model.base_url)
        yield process


def pay_once(request: dict[str, Any]) -> Reply:
    """Call the tool for what is asked, and answer when that is done."""
    is_done = request["messages"][-1]["role"] == "tool"
    return Reply(text="It is paid.") if is_done else Reply(tool_calls=(ToolCall("pay", {"euros": 1}),))


async def rows(process: Process, statement: Any) -> list[DictRow]:
    await (await current_tracing()).flush()
    async with (await process.database()).pool.connection() as connection:
        return await (await connection.execute(statement)).fetchall()


async def runs(process: Process) -> list[tuple[str, str, str | None]]:
    found = await rows(process, "select graph, status, reason from boring.run order by started_at")
    return [(row["graph"], row["status"], row["reason"]) for row in found]


async def tokens_of_run(process: Process) -> list[DictRow]:
    return await rows(process, "select input_tokens as read, output_tokens as written from boring.run")


async def tokens_of_models(process: Process) -> list[DictRow]:
    statement = "select sum(input_tokens) as read, sum(output_tokens) as written from boring.span"
    return await rows(process, statement)


async def invocations(process: Process) -> list[tuple[str, str]]:
    """Return the traces' invocations, the first one first, with the agents around them."""
    found = await rows(
        process,
        """with recursive below as (
            select span_id, trace_id, agent as place, operation, started_at, run_id from boring.span
                where parent_id is null
            union all select span.span_id, span.trace_id, case span.operation when 'invoke_agent'
                then place || '>' || span.agent else place end, span.operation, span.started_at, span.run_id
                from boring.span join below on parent_id = below.span_id and span.trace_id = below.trace_id)
        select place, (run_id = (select run_id from boring.run)) as is_its from below
        where operation = 'invoke_agent' order by started_at""",
    )
    assert all(row["is_its"] for row in found)
    return [row["place"] for row in found]


async def asked(process: Process, name: str, thread: str = "t") -> tuple[Session, dict[str, Any]]:
    out = io.StringIO()
    graph = await opened_graph(graph_called(name))
    session = Session(process, graph, Console(file=out), as_json=True, graph=name)
    await session.turn(new_request("Pay.", thread, RunContext(user="uma")))
    return session, json.loads(out.getvalue().splitlines()[-1])


@pytest.mark.parametrize(("name", "inner"), [("node", 1), ("called", 1), ("fan", 2), ("row", 2)])
async def test_agents_in_a_graph_of_one_s_own_are_parts_of_its_run_and_of_its_trace(
    process: Process, name: str, inner: int
) -> None:
    _, told = await asked(process, f"own.py:{name}")
    assert told["answer"] == "It is paid."
    assert await runs(process) == [(name, "finished", "answered")]
    assert await invocations(process) == [name, *[f"{name}>payer"] * inner]
    kept = await rows(process, "select distinct outcome from boring.span where operation = 'invoke_agent'")
    assert [row["outcome"] for row in kept] == ["answered"]
    (run,) = await rows(process, "select context from boring.run")
    assert run["context"]["user"] == "uma"
    assert await tokens_of_run(process) == await tokens_of_models(process)


async def test_a_graph_whose_answer_is_that_of_an_agent_that_failed_has_failed(process: Process) -> None:
    graph = await opened_graph(graph_called("own.py:called"))
    config: Any = {"configurable": {"thread_id": "t"}}
    asked_for: Any = {"messages": [("user", "Pay.")]}
    await graph.ainvoke(asked_for, config, context=RunContext(max_steps=1))  # pyright: ignore[reportArgumentType]
    assert await runs(process) == [("called", "stopped", "step_limit")]


async def test_a_run_that_waits_within_goes_on_by_the_command_that_resumes(process: Process) -> None:
    session, told = await asked(process, "shop")
    assert (told["status"], await runs(process)) == ("waiting", [("shop", "interrupted", None)])
    await approved(process)
    await finish_last_run(session, "t")
    assert await runs(process) == [("shop", "finished", "answered")]
    assert await invocations(process) == ["shop", "shop>asker", "shop", "shop>asker"]
    first, later = await rows(
        process, "select trace_id, links from boring.span where parent_id is null order by started_at"
    )
    assert (first["links"], [one[:32] for one in later["links"]]) == ([], [first["trace_id"]])


async def approved(process: Process) -> Any:
    (waiting,) = [one for one in await approvals_named(await process.database(), "") if one.status == "open"]
    return await decided(process, waiting)


async def decided(process: Process, waiting: ApprovalRow) -> Any:
    return await decide(
        await process.database(),
        waiting.id,
        Decision(type="approve"),
        by="bo",
        arguments_hash=waiting.arguments_hash,
    )


async def test_a_run_that_waits_twice_tells_all_that_its_agents_have_used(process: Process) -> None:
    session, _ = await asked(process, "own.py:buyers")
    for _ in range(2):
        assert await runs(process) == [("buyers", "interrupted", None)]
        await approved(process)
        await finish_last_run(session, "t")
    assert await runs(process) == [("buyers", "finished", "answered")]
    assert await tokens_of_run(process) == await tokens_of_models(process)


@pytest.mark.parametrize("name", ["shop", "buying", "own.py:asking"])
async def test_the_inbox_finds_the_graph_of_a_run_that_waits_within(process: Process, name: str) -> None:
    await asked(process, name)
    assert await graph_of(await process.database(), await approved(process)) == name


async def test_the_inbox_says_what_to_do_where_it_does_not_find_it(process: Process) -> None:
    await asked(process, "own.py:elsewhere")
    with pytest.raises(InputError, match=r"'seller', which is not known.*boring resume t --graph MODULE"):
        await graph_of(await process.database(), await approved(process))


@pytest.mark.parametrize("context", [RunContext(user="uma"), {"user": "uma", "of_its_own": 1}])
async def test_a_call_by_a_program_is_a_run_too_and_so_is_its_going_on(
    process: Process, context: Any
) -> None:
    graph = (await opened_graph(graph_called("shop"))).copy(update={"name": "shopping"})
    config: Any = {"configurable": {"thread_id": "t"}, "run_id": UUID(int=7)}
    asked_for: Any = {"messages": [("user", "Pay.")]}
    await graph.ainvoke(asked_for, config, context=context)
    assert await runs(process) == [("shopping", "interrupted", None)]
    state = await resume_settled(graph, await approved(process), by="bo")
    assert state is not None
    assert state["messages"][-1].text == "It is paid."
    assert await runs(process) == [("shopping", "finished", "answered")]
    (kept,) = await rows(process, "select run_id, question, context ->> 'user' as user from boring.run")
    assert kept == {"run_id": str(UUID(int=7)), "question": "Pay.", "user": "uma"}
    assert await invocations(process) == ["shopping", "shopping>asker"] * 2


async def test_a_run_that_failed_goes_on_under_its_own_name(process: Process) -> None:
    with pytest.raises(RuntimeError, match="broken"):
        await asked(process, "own.py:broken")
    assert await runs(process) == [("broken", "running", None)]
    graph = await opened_graph(graph_called("own.py:broken"))
    with pytest.raises(RuntimeError, match="broken"):
        await graph.ainvoke(None, {"configurable": {"thread_id": "t"}})
    assert await runs(process) == [("broken", "running", None)]


async def test_a_graph_that_keeps_no_thread_and_is_asked_nothing_is_a_run(process: Process) -> None:
    adding = StateGraph(Number).add_node("add", one_more).add_edge(START, "add").compile(name="adding")
    assert await recorded(adding).ainvoke({"number": 1}) == {"number": 2}
    assert await runs(process) == [("adding", "finished", "answered")]


def one_more(state: Number) -> Number:
    return {"number": state["number"] + 1}


async def test_a_new_call_of_a_graph_of_one_s_own_overtakes_the_requests_within(process: Process) -> None:
    session, _ = await asked(process, "shop")
    await session.turn(new_request("Never mind.", "t", RunContext(user="uma")))
    later, earlier = await approvals(await process.database(), settled=True, thread_id="t")
    assert (earlier.status, later.status) == ("open", "open")
    with pytest.raises(DecisionRefusedError, match="was overtaken by a new message"):
        await decided(process, earlier)
    await decided(process, later)
    statuses = [row.status for row in await approvals(await process.database(), settled=True, thread_id="t")]
    assert statuses == ["approved", "denied"]
