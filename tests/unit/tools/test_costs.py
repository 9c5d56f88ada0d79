"""What a call costs in statements and commits, counted as they are sent to a real Postgres."""

import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.messages import ToolCall as Call
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from core.context import RunContext
from core.process import Process
from core.worker import current_worker
from evals.counted_sql import CountedSql, counted_sql
from evals.scripted_model import Reply, ScriptedModel, ToolCall
from graphs.single import create_agent
from memory.checkpoints import postgres_checkpointer
from memory.claims import current_claims
from tools.breakers import current_breakers
from tools.contract import Effect, Tool, contract
from tools.injection import IdempotencyKey, Transaction
from tools.journal import Journal
from tools.runtime import CallScope, ToolRuntime

JOURNAL = ("boring.effect", "boring.plan", "boring.question")


def tool(effect: Effect) -> Tool:
    async def act(order: int) -> str:
        """Act."""
        return f"done {order}"

    async def act_once(order: int, key: IdempotencyKey) -> str:
        """Act once for each key."""
        return f"done {order} {key}"

    async def write(order: int, transaction: Transaction) -> str:
        """Write a row."""
        insert = "insert into boring.ticket (tenant, title, created_by) values ('t', %s, 'u')"
        await transaction.execute(insert, (str(order),))
        return "written"

    made: Any = {"idempotent": act_once, "transactional": write}.get(effect, act)
    return contract(made, effect=effect)


async def counted_call(process: Process, effect: Effect) -> CountedSql:
    """Make one call on a thread that is held, as the node `execute` makes it."""
    one = tool(effect)
    runtime = ToolRuntime([one])
    journal = Journal(await process.database(), (await current_worker()).id)
    async with (await current_claims()).held("t"):
        scope = CallScope(
            step=1,
            time_limit_s=30,
            thread_id="t",
            run_id="r",
            breakers=await current_breakers(),
            journal=journal if runtime.needs_journal(one.name) else None,
        )
        with counted_sql() as counted:
            done = await runtime.call(Call(name=one.name, args={"order": 7}, id=uuid.uuid4().hex), scope)
    assert isinstance(done, ToolMessage)
    assert done.status == "success"
    return counted


@pytest.mark.parametrize(
    ("effect", "statements", "commits"),
    [("read", 0, 0), ("idempotent", 2, 2), ("unsafe", 2, 2), ("transactional", 3, 1)],
)
async def test_a_call_costs_two_commits_for_an_effect_outside_one_for_ours_none_for_a_read(
    process: Process, effect: Effect, statements: int, commits: int
) -> None:
    counted = await counted_call(process, effect)
    assert (len(counted.statements), counted.commits) == (statements, commits)


@pytest.fixture
async def llm() -> AsyncIterator[ChatOpenAI]:
    """A model that makes one call of the tool it is offered, then answers."""

    def speak(request: dict[str, Any]) -> Reply:
        if request["messages"][-1]["role"] == "tool":
            return Reply(text="Done.")
        return Reply(tool_calls=(ToolCall(request["tools"][0]["function"]["name"], {"order": 7}),))

    async with ScriptedModel(speak) as model:
        key = SecretStr(model.api_key)
        yield ChatOpenAI(base_url=model.base_url, api_key=key, model="scripted", max_retries=0)


async def counted_turn(llm: ChatOpenAI, one: Tool) -> CountedSql:
    agent = create_agent(llm=llm, tools=[one], checkpointer=await postgres_checkpointer())
    asked: Any = {"messages": [HumanMessage("Do it")]}
    for thread in ("first", "second"):  # the first turn opens what the process needs
        with counted_sql() as counted:
            config: Any = {"configurable": {"thread_id": f"{one.effect} {thread}"}}
            result = await agent.ainvoke(asked, config, context=RunContext(), durability="sync")
        assert result["answer"]["text"] == "Done."
    return counted


@pytest.mark.usefixtures("process")
async def test_an_agent_that_only_reads_never_asks_the_journal(llm: ChatOpenAI) -> None:
    counted = await counted_turn(llm, tool("read"))
    assert len(counted.about("boring.tool_call")) == 1
    assert [statement for table in JOURNAL for statement in counted.about(table)] == []


@pytest.mark.usefixtures("process")
async def test_the_journal_adds_its_two_commits_to_a_turn_and_the_plan_none(llm: ChatOpenAI) -> None:
    read, unsafe = await counted_turn(llm, tool("read")), await counted_turn(llm, tool("unsafe"))
    assert unsafe.commits - read.commits == 2
    assert len(unsafe.about("boring.effect")) == 2
    assert [("boring.effect" in one) for one in unsafe.about("boring.plan")] == [True]
