"""Forks of a hierarchical run: each goes on to its end, and what was done is not done again."""

from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from evals.scripted_model import Reply, ToolCall
from graphs.hierarchy import Team, create_hierarchy
from graphs.recovery import resume_thread
from graphs.single import create_agent
from guardrails.approval import always
from tools.contract import contract
from tools.injection import IdempotencyKey

CONFIG: Any = {"configurable": {"thread_id": "office"}}
TEAMS = ("money", "post")


def member(request: Any) -> Reply:
    """Call the one tool there is, then say so."""
    if request["messages"][-1]["role"] == "tool":
        return Reply(text="Done.")
    name = request["tools"][0]["function"]["name"]
    return Reply(tool_calls=(ToolCall(name, {"order": 7}),))


def boss(request: Any) -> Reply:
    """Hand each team its task, the second after the first, then say so."""
    if request["messages"][-1]["role"] == "tool":
        return Reply(text="All done.")
    first, second = (
        ToolCall(name, {"task": name, "goal": "do it", "after": list(TEAMS[:number])})
        for number, name in enumerate(TEAMS)
    )
    return Reply(tool_calls=(first, second))


@pytest.fixture
async def office(saver: Any, speaking: Any) -> Any:
    done: list[str] = []

    async def refund(order: int) -> str:
        """Refund an order."""
        done.append(f"refund {order}")
        return "refunded"

    async def mail(order: int, key: IdempotencyKey) -> str:
        """Write about an order."""
        done.append(f"mail {order} {key[:6]}")
        return "written"

    tools = {"money": contract(refund, approval=always), "post": contract(mail, effect="idempotent")}
    teams = [
        Team(name, name, create_agent(llm=await speaking(member), tools=[tools[name]], name=name))
        for name in TEAMS
    ]
    agent = create_hierarchy(llm=await speaking(boss), teams=teams, checkpointer=saver)
    asked: Any = {"messages": [HumanMessage("Refund 7", id="q")]}
    result = await agent.ainvoke(asked, CONFIG, durability="sync")
    answer = {result["__interrupt__"][0].id: {"decisions": [{"type": "approve"}], "by": "ann"}}
    result = await resume_thread(agent, "office", answers=answer)
    assert result["answer"]["text"] == "All done."
    assert len(done) == 2
    return agent, done


async def test_a_fork_from_any_checkpoint_ends_as_the_run_did_and_repeats_no_effect(office: Any) -> None:
    agent, done = office
    before = list(done)
    history = [state async for state in agent.aget_state_history(CONFIG)]
    steps = {name for state in history for name in state.next}
    assert {"receive", "plan", "money", "post", "observe", "respond"} <= steps
    for state in history:
        result = await agent.ainvoke(None, state.config)
        assert "__interrupt__" not in result, state.next
        assert result["answer"]["text"] == "All done.", state.next
    assert done == before


async def test_a_fork_from_within_a_team_repeats_no_effect(office: Any) -> None:
    agent, done = office
    before = list(done)
    states = [state async for state in agent.aget_state_history(CONFIG)]
    tasks = [task for state in states for task in state.tasks if task.name in TEAMS]
    inside: list[Any] = [task.state for task in tasks if task.state is not None]
    assert inside
    for config in inside:
        history = [state async for state in agent.aget_state_history(config)]
        assert history
        for state in history:
            await agent.ainvoke(None, state.config)
    assert done == before
