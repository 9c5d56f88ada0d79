"""Forks of a run from its older checkpoints: as it was, nothing is done again; edited, it is planned anew."""

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI
from langgraph.types import StateSnapshot
from pydantic import SecretStr

from core.context import RunContext
from evals.scripted_model import Reply, ScriptedModel, ToolCall
from graphs.single import Agent, create_agent
from tools.contract import contract
from tools.injection import IdempotencyKey, Transaction

CONFIG: Any = {"configurable": {"thread_id": "t"}}


def speak(request: dict[str, Any]) -> Reply:
    """Look the price up, pay it, tell of it and note it, one after the other, then say what was done."""
    asked = max(i for i, one in enumerate(request["messages"]) if one["role"] == "user")
    question = request["messages"][asked]["content"]
    results = [one["content"] for one in request["messages"][asked:] if one["role"] == "tool"]
    match len(results):
        case 0:
            return Reply(tool_calls=(ToolCall("look", {"article": question}),))
        case 1:
            (price,) = re.findall(r"\d+", results[0])
            return Reply(tool_calls=(ToolCall("pay", {"amount": int(price)}),))
        case 2:
            calls = (ToolCall("tell", {"text": results[1]}), ToolCall("note", {"text": results[1]}))
            return Reply(tool_calls=calls)
        case _:
            return Reply(text=f"{question}: {results[1]}")


@dataclass
class World:
    """What has happened."""

    looked: int = 0
    paid: list[int] = field(default_factory=list[int])
    told: dict[str, str] = field(default_factory=dict[str, str])
    asked: list[str] = field(default_factory=list[str])

    def agent(self, model: ScriptedModel, saver: Any) -> Agent:
        async def look(article: str) -> str:
            """Look up a price."""
            self.looked += 1
            return f"{article} costs {len(article)}"

        async def pay(amount: int) -> str:
            """Pay."""
            self.paid.append(amount)
            return f"paid {amount}"

        async def tell(text: str, key: IdempotencyKey) -> str:
            """Tell somebody."""
            assert key not in self.told
            self.told[key] = text
            return "told"

        async def note(text: str, transaction: Transaction) -> str:
            """Note something."""
            await transaction.execute(
                "insert into boring.ticket (tenant, title, body, created_by) values ('t', %s, '', 't')",
                (text,),
            )
            return "noted"

        tools = [
            contract(look, effect="read"),
            contract(pay),
            contract(tell, effect="idempotent"),
            contract(note, effect="transactional"),
        ]
        llm = ChatOpenAI(base_url=model.base_url, api_key=SecretStr("x"), model="scripted", max_retries=0)
        return create_agent(llm=llm, tools=tools, checkpointer=saver)


async def notes(process: Any) -> list[str]:
    async with (await process.database()).pool.connection() as connection:
        found = await connection.execute("select title from boring.ticket order by title")
        return [row["title"] for row in await found.fetchall()]


async def finished(agent: Agent, durability: Any = "sync") -> dict[str, Any]:
    asked: Any = {"messages": [HumanMessage("chair", id="q")]}
    values = await agent.ainvoke(asked, CONFIG, context=RunContext(max_steps=20), durability=durability)
    assert values["answer"]["text"] == "chair: paid 5"
    return values


async def at(agent: Agent, step: str, *, times: int = 1) -> StateSnapshot:
    """Return the checkpoint before the step `step` was taken for the `times`-th time."""
    history = [one async for one in agent.aget_state_history(CONFIG)]
    return [one for one in reversed(history) if step in one.next][times - 1]


async def edited(agent: Agent, place: StateSnapshot, message: Any) -> dict[str, Any]:
    """Put `message` in the place of the one with its id, and go on from there."""
    fork = await agent.aupdate_state(place.config, {"messages": [message]}, as_node=_before(place))
    return await agent.ainvoke(None, fork, context=RunContext(max_steps=20))


def _before(place: StateSnapshot) -> str:
    return {"plan": "receive" if len(place.values["messages"]) == 1 else "observe"}.get(place.next[0], "plan")


@pytest.mark.parametrize("durability", ["sync", "async"])
async def test_a_fork_from_any_checkpoint_of_a_run_repeats_no_effect(
    process: Any, saver: Any, durability: Any
) -> None:
    world = World()
    async with ScriptedModel(speak) as model:
        agent = world.agent(model, saver)
        await finished(agent, durability)
        history = [one async for one in agent.aget_state_history(CONFIG) if one.next]
        assert Counter(name for one in history for name in one.next) >= Counter(
            {"receive": 1, "plan": 4, "execute": 4, "observe": 3, "respond": 1}
        )
        for place in history:
            values = await agent.ainvoke(None, place.config, context=RunContext(max_steps=20))
            assert values["answer"]["text"] == "chair: paid 5"
            assert "__interrupt__" not in values
    assert world.paid == [5]
    assert list(world.told.values()) == ["paid 5"]
    assert await notes(process) == ["paid 5"]


async def test_a_fork_with_an_edited_question_plans_anew(process: Any, saver: Any) -> None:
    world = World()
    async with ScriptedModel(speak) as model:
        agent = world.agent(model, saver)
        await finished(agent)
        values = await edited(agent, await at(agent, "plan"), HumanMessage("cupboard", id="q"))
    assert values["answer"]["text"] == "cupboard: paid 8"
    assert (world.paid, list(world.told.values())) == ([5, 8], ["paid 5", "paid 8"])
    assert await notes(process) == ["paid 5", "paid 8"]


async def test_a_fork_with_an_edited_result_plans_anew(process: Any, saver: Any) -> None:
    world = World()
    async with ScriptedModel(speak) as model:
        agent = world.agent(model, saver)
        await finished(agent)
        place = await at(agent, "plan", times=2)
        found = place.values["messages"][-1]
        assert isinstance(found, ToolMessage)
        cheaper = found.model_copy(update={"content": "chair costs 3"})
        values = await edited(agent, place, cheaper)
    assert values["answer"]["text"] == "chair: paid 3"
    assert (world.paid, list(world.told.values())) == ([5, 3], ["paid 5", "paid 3"])
    assert await notes(process) == ["paid 3", "paid 5"]


async def test_a_fork_with_an_edited_call_makes_that_call_and_plans_anew(process: Any, saver: Any) -> None:
    world = World()
    async with ScriptedModel(speak) as model:
        agent = world.agent(model, saver)
        await finished(agent)
        place = await at(agent, "execute", times=2)
        plan = place.values["messages"][-1]
        assert isinstance(plan, AIMessage)
        dearer = [{**call, "args": {"amount": 7}} for call in plan.tool_calls]
        values = await edited(agent, place, plan.model_copy(update={"tool_calls": dearer}))
    assert values["answer"]["text"] == "chair: paid 7"
    assert (world.paid, list(world.told.values())) == ([5, 7], ["paid 5", "paid 7"])
    assert await notes(process) == ["paid 5", "paid 7"]


async def test_an_edited_fork_is_repeated_as_it_was(process: Any, saver: Any) -> None:
    world = World()
    async with ScriptedModel(speak) as model:
        agent = world.agent(model, saver)
        await finished(agent)
        place = await at(agent, "plan", times=2)
        cheaper = place.values["messages"][-1].model_copy(update={"content": "chair costs 3"})
        await edited(agent, place, cheaper)
        for one in [one async for one in agent.aget_state_history(CONFIG) if one.next]:
            await agent.ainvoke(None, one.config, context=RunContext(max_steps=20))
    assert (sorted(world.paid), sorted(world.told.values())) == ([3, 5], ["paid 3", "paid 5"])
    assert await notes(process) == ["paid 3", "paid 5"]
