"""Why a call was not made, and who said so, as `boring why` tells it."""

from typing import Any

import pytest
from langgraph.types import Command

from core.process import Process
from evals.scripted_model import Reply, ToolCall
from graphs.hierarchy import Team, create_hierarchy
from graphs.recovery import resume_settled
from graphs.single import create_agent
from guardrails.approval import always, over
from guardrails.chain import Level
from observability.story import sentences
from tests.graphs.approvals import Shop, config
from tests.graphs.test_deciding import decided
from tests.graphs.test_doubt import CONFIG, PAY, Bank, asks, cut_off
from tools.contract import contract
from tools.declining import decline

CARL = over("amount", 100, levels=[Level("clerk")])


async def told_of_calls(state: Any) -> list[str]:
    """Return the sentences of a run that are no plan and not its end."""
    told = [one.partition(": ")[2] for one in sentences(await decided(state))]
    return [one for one in told if not one.startswith(("In step", "The run ended"))]


@pytest.fixture
def shop(saver: Any, speaking: Any, process: Process) -> Shop:
    return Shop(saver, speaking, process)


@pytest.mark.parametrize(
    ("who", "kind", "told"),
    [
        ("carl", "reject", "it was rejected by carl"),
        ("carl", "respond", "it was answered instead by carl"),
        ("rule", "reject", "it was rejected by the person rule"),
    ],
)
async def test_the_story_tells_who_rejected_or_answered_a_call(
    shop: Shop, who: str, kind: str, told: str
) -> None:
    agent = await shop.agent(CARL, roles={"clerk": ["carl", "rule"]})
    await shop.asked(agent)
    row = await shop.decides(who, kind, message="by hand")
    state = await resume_settled(agent, row, by="carl")
    assert await told_of_calls(state) == [
        "A person was asked for approval of the call of pay.",
        f"The call of pay was not made: {told}.",
    ]
    assert shop.paid == []


async def test_the_story_tells_who_changed_the_arguments_of_a_call(shop: Shop) -> None:
    agent = await shop.agent(CARL)
    await shop.asked(agent)
    row = await shop.edits("carl", amount=400, to="shop")
    state = await resume_settled(agent, row, by="carl")
    assert (await told_of_calls(state))[-2:] == [
        "carl agreed to the call of pay, with arguments that carl changed.",
        "The tool pay was run: it went well.",
    ]


async def test_a_call_that_nobody_could_be_asked_about_was_rejected_by_a_rule(speaking: Any) -> None:
    bank = Bank()
    agent = create_agent(llm=await speaking([PAY, "No."]), tools=[contract(bank.pay, approval=always)])
    state = await agent.ainvoke(asks("Pay 7"))
    why = "pay needs a person's approval, and this agent can't wait: it has no checkpointer"
    assert await told_of_calls(state) == [f"The call of pay was not made: {why}."]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({"outcome": "stop"}, "Whether the tool pay was run to its end is not known: bo stopped the run."),
        ({"outcome": "happened"}, "The tool pay was run: it went well, as bo says."),
    ],
)
async def test_the_story_tells_who_settled_a_doubt(
    saver: Any, speaking: Any, answer: dict[str, str], told: str
) -> None:
    bank = Bank()
    agent = create_agent(llm=await speaking([PAY, PAY, "Done."]), tools=[bank.pay], checkpointer=saver)
    await cut_off(agent, bank)
    result = await agent.ainvoke(asks("Pay 7, I said"), CONFIG)
    question = result["__interrupt__"][0]
    state = await agent.ainvoke(Command(resume={question.id: answer | {"by": "bo"}}), CONFIG)
    assert await told_of_calls(state) == ["A person was asked for what became of the call of pay.", told]


async def test_an_agent_that_declines_was_asked_and_no_person_has_declined(saver: Any, speaking: Any) -> None:
    declines = Reply(tool_calls=(ToolCall("decline", {"reason": "I only read."}),))
    yard = create_agent(llm=await speaking([declines]), tools=[decline()], name="yard")
    handed = Reply(tool_calls=(ToolCall("yard", {"task": "t", "goal": "go"}),))
    llm = await speaking([handed, "Nobody can."])
    office = create_hierarchy(llm=llm, teams=[Team("yard", "Works.", yard)], checkpointer=saver)
    told = await told_of_calls(await office.ainvoke(asks("Go"), config()))
    assert told[-1] == "The agent yard was given work: it ended as declined."


async def test_the_story_tells_why_an_agent_was_not_asked(saver: Any, speaking: Any) -> None:
    yard = create_agent(llm=await speaking(["Done."]), name="yard")
    calls = (
        ToolCall("yard", {"task": "a", "goal": "go", "after": ["b"]}),
        ToolCall("yard", {"task": "b", "goal": "go on", "after": ["a"]}),
    )
    llm = await speaking([Reply(tool_calls=calls), "Nothing."])
    office = create_hierarchy(llm=llm, teams=[Team("yard", "Works.", yard)], checkpointer=saver)
    told = await told_of_calls(await office.ainvoke(asks("Go"), config()))
    why = "yard was not asked. Tasks wait for each other: a after b after a"
    assert f"The call of yard was not made: {why}." in told
