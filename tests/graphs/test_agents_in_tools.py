"""What an agent uses that a tool of another agent asks is on that one's account."""

from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.base import BaseCheckpointSaver

from core.context import RunContext
from core.process import current_process
from evals.scripted_model import Reply, ToolCall
from graphs.single import Agent, create_agent
from observability.tracing import current_tracing
from tools.contract import contract

ASKED: Any = {"messages": [HumanMessage("How many?")]}
ASKS = Reply(tool_calls=(ToolCall("ask", {"what": "Count."}), ToolCall("ask", {"what": "Count again."})))
OF_RUN = "select status, reason, input_tokens + output_tokens as tokens from boring.run"
OF_MODELS = "select sum(input_tokens + output_tokens) as tokens from boring.span"


@pytest.fixture
async def outer(saver: BaseCheckpointSaver[Any], speaking: Any) -> Agent:
    """An agent whose tool asks one whose tool asks a third."""
    innermost = create_agent(llm=await speaking(["Three."] * 4), name="innermost")
    inner = create_agent(
        llm=await speaking([ASKS, ASKS, "Three.", "Three."]), tools=[asking(innermost)], name="inner"
    )
    return create_agent(
        llm=await speaking([ASKS, "Three."]), tools=[asking(inner)], checkpointer=saver, name="outer"
    )


def asking(agent: Agent) -> Any:
    async def ask(what: str) -> str:
        """Ask somebody."""
        return (await agent.ainvoke({"messages": [HumanMessage(what)]}))["answer"]["text"]

    return contract(ask, effect="read")


async def row(statement: Any) -> Any:
    await (await current_tracing()).flush()
    async with (await (await current_process()).database()).pool.connection() as connection:
        (found,) = await (await connection.execute(statement)).fetchall()
    return found


async def test_a_run_is_charged_with_what_agents_in_its_tools_use(outer: Agent) -> None:
    await outer.ainvoke(ASKED, {"configurable": {"thread_id": "t"}})
    run, models = await row(OF_RUN), await row(OF_MODELS)
    assert (run["status"], run["tokens"]) == ("finished", models["tokens"])


async def test_its_budget_holds_for_them_too(outer: Agent) -> None:
    config: Any = {"configurable": {"thread_id": "t"}}
    ended = await outer.ainvoke(ASKED, config, context=RunContext(max_tokens=500))
    run, models = await row(OF_RUN), await row(OF_MODELS)
    assert (run["reason"], run["tokens"]) == ("budget", models["tokens"])
    assert ended["answer"]["status"] == "budget"
