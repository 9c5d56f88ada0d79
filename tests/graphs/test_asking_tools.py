"""A tool that asks the user something from within a group of tasks: it is asked, and the answer arrives."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from langchain_core.tools import tool as langchain_tool
from langgraph.types import Command, interrupt

from core.context import RunContext
from evals.scripted_model import Reply, ToolCall
from graphs.single import create_agent
from tools.contract import ONCE, Effect, Finding, contract
from tools.injection import Transaction

CONFIG: Any = {"configurable": {"thread_id": "t"}}
GO: Any = {"messages": [("user", "Go")]}


async def colour() -> str:
    """Ask for a colour."""

    async def ask() -> str:
        return str(interrupt("Which colour?"))

    async def ask_within() -> str:
        async with asyncio.TaskGroup() as inner:
            asking = inner.create_task(ask())
        return asking.result()

    async with asyncio.TaskGroup() as group:
        asking = group.create_task(ask_within())
        group.create_task(asyncio.sleep(0))
    return asking.result()


async def colour_within(transaction: Transaction) -> str:
    """Ask for a colour."""
    await transaction.execute("select 1")
    return await colour()


@pytest.mark.parametrize("effect", ["read", "idempotent", "transactional", "unsafe"])
@pytest.mark.parametrize("wrapped", [False, True])
async def test_an_interrupt_within_task_groups_asks_and_its_answer_arrives(
    saver: Any, speaking: Any, effect: Effect, *, wrapped: bool
) -> None:
    function: Any = colour_within if effect == "transactional" else colour
    tool = contract(langchain_tool(function) if wrapped else function, effect=effect)
    llm = await speaking([Reply(tool_calls=(ToolCall(tool.name),)), "Done."])
    agent = create_agent(llm=llm, tools=[tool], checkpointer=saver)
    result = await agent.ainvoke(GO, CONFIG, context=RunContext())
    assert [question.value for question in result["__interrupt__"]] == ["Which colour?"]
    result = await agent.ainvoke(Command(resume="red"), CONFIG, context=RunContext())
    assert (result["messages"][-2].text, result["answer"]["text"]) == ("red", "Done.")


async def test_a_reconcile_hook_may_ask_from_within_a_task_group(saver: Any, speaking: Any) -> None:
    async def pay() -> str:
        """Pay."""
        raise TimeoutError

    async def was_it_paid(arguments: Mapping[str, Any], key: str) -> Finding:
        assert not arguments
        assert key
        return Finding(happened=True, result=f"paid, and {await colour()}")

    tool = contract(pay, retry=ONCE, reconcile=was_it_paid)
    llm = await speaking([Reply(tool_calls=(ToolCall("pay"),)), "Done."])
    agent = create_agent(llm=llm, tools=[tool], checkpointer=saver)
    result = await agent.ainvoke(GO, CONFIG, context=RunContext())
    assert [question.value for question in result["__interrupt__"]] == ["Which colour?"]
    result = await agent.ainvoke(Command(resume="red"), CONFIG, context=RunContext())
    assert (result["messages"][-2].text, result["answer"]["text"]) == ("paid, and red", "Done.")
