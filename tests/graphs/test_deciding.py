"""What a run decided, as `boring why` tells it."""

from typing import Any

import pytest
from langgraph.types import Command

from core.process import current_process
from core.text import storable_text
from evals.scripted_model import Reply, ToolCall
from graphs.hierarchy import Team, create_hierarchy
from graphs.single import create_agent
from guardrails.approval import always
from observability.story import DecisionRow, decisions_of_run, sentences
from observability.tracing import current_tracing
from tests.graphs.approvals import config
from tools.contract import contract

ASKED: Any = {"messages": [("user", "Pay 7 and look")]}
APPROVE = {"decisions": [{"type": "approve"}], "by": "ann"}


async def pay(amount: int) -> str:
    """Pay an amount."""
    return f"paid {amount}"


async def look() -> str:
    """Look around."""
    return "nothing"


async def decided(state: Any) -> list[DecisionRow]:
    await (await current_tracing()).flush()
    return await decisions_of_run(await (await current_process()).database(), state["turn"]["run_id"])


async def test_the_story_of_a_run_with_an_approval_and_a_refused_call(saver: Any, speaking: Any) -> None:
    calls = (ToolCall("pay", {"amount": 7}), ToolCall("look", {"far": 1}))
    llm = await speaking([Reply(tool_calls=calls), "Paid."])
    tools = [contract(pay, approval=always), contract(look, effect="read")]
    agent = create_agent(llm=llm, tools=tools, name="till", checkpointer=saver)
    await agent.ainvoke(ASKED, config())
    rows = await decided(await agent.ainvoke(Command(resume=APPROVE), config()))
    told = sentences(rows)
    assert told[0] == ("till: In step 1 scripted planned to call pay, look, and not open_result.") or told[
        0
    ].startswith("till: In step 1 scripted planned to call pay, look")
    assert sorted(told[1:3]) == [
        "till: A person was asked for approval of the call of pay.",
        "till: The call of look was not made: its arguments are not what the tool takes.",
    ]
    assert told[3:] == [
        "till: ann agreed to the call of pay.",
        "till: The tool pay was run: it went well.",
        "till: In step 2 scripted answered.",
        "till: The run ended with an answer.",
    ]
    assert all(row.span_id and row.trace_id for row in rows)


async def test_the_story_names_the_agent_that_decided_and_why_a_run_stopped(
    saver: Any, speaking: Any
) -> None:
    team = Team("yard", "Works.", create_agent(llm=await speaking(["Done."]), name="yard"))
    handed = Reply(tool_calls=(ToolCall("yard", {"task": "t", "goal": "go"}),))
    llm = await speaking([handed, Reply(status=401, text="no")])
    office = create_hierarchy(llm=llm, teams=[team], checkpointer=saver, name="office")
    told = sentences(await decided(await office.ainvoke(ASKED, config())))
    assert told[:5] == [
        "office: In step 1 scripted planned to call yard.",
        "yard: In step 1 scripted answered.",
        "yard: The run ended with an answer.",
        "office: The agent yard was given work: it went well.",
        told[4],
    ]
    assert told[4].startswith("office: The run ended without an answer (failed): ")


@pytest.mark.parametrize("name", ["nul\0name", "lone\ud800surrogate"])
async def test_a_name_that_can_not_be_stored_costs_no_decision(saver: Any, speaking: Any, name: str) -> None:
    llm = await speaking([Reply(tool_calls=(ToolCall(name, {}),)), "Done."])
    agent = create_agent(llm=llm, name="till", checkpointer=saver)
    told = sentences(await decided(await agent.ainvoke(ASKED, config())))
    assert told[1] == f"till: The call of {storable_text(name)} was not made: there is no such tool."
    assert len(told) == 4
