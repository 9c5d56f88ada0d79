"""Answers to a run's questions: who gave them, and what becomes of those that are none."""

from collections.abc import Callable
from typing import Any

import pytest
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, interrupt

from core.context import RunContext
from core.errors import InputError
from core.process import Process
from core.state import AgentInput, AgentState
from evals.scripted_model import Reply, ToolCall
from graphs.recovery import resume_thread
from graphs.single import Agent, create_agent
from guardrails.approval import always
from tools.contract import contract
from tools.questions import ApprovalAnswer, Decision

CONFIG: Any = {"configurable": {"thread_id": "t"}}
APPROVE: Any = {"decisions": [{"type": "approve"}]}
REJECT: Any = {"decisions": [{"type": "reject", "message": "too much"}]}
WRONG: Any = {"decisions": [{"type": "maybe"}]}
BY_ALICE = RunContext(user="alice")


def calls(*amounts: int) -> Reply:
    return Reply(tool_calls=tuple(ToolCall("pay", {"amount": amount}) for amount in amounts))


def asks(text: str) -> Any:
    return {"messages": [("user", text)]}


@pytest.fixture
def paid() -> list[int]:
    return []


@pytest.fixture
def paying(saver: Any, speaking: Any, paid: list[int]) -> Callable[..., Any]:
    """Return a function that makes an agent whose every payment needs approval."""

    async def pay(amount: int) -> str:
        """Pay an amount."""
        paid.append(amount)
        return f"paid {amount}"

    async def make(*amounts: int, checkpointer: Any = saver) -> Agent:
        llm = await speaking([calls(*amounts), "Done."])
        return create_agent(llm=llm, tools=[contract(pay, approval=always)], checkpointer=checkpointer)

    return make


async def waiting(agent: Agent) -> list[str]:
    """Let alice ask for the payments; return the ids of the questions."""
    result = await agent.ainvoke(asks("Pay"), CONFIG, context=BY_ALICE)
    return ids_of(result)


async def answered_by(process: Process) -> list[str | None]:
    async with (await process.database()).pool.connection() as connection:
        found = await connection.execute("select answered_by from boring.question order by asked_at")
        return [row["answered_by"] for row in await found.fetchall()]


def ids_of(result: Any) -> list[str]:
    return sorted(one.id for one in result["__interrupt__"])


async def test_who_asked_for_a_call_is_not_taken_for_who_approved_it(process: Process, paying: Any) -> None:
    agent = await paying(7)
    (question,) = await waiting(agent)
    await resume_thread(agent, "t", answers={question: APPROVE})
    assert await answered_by(process) == ["unknown"]


async def test_nor_is_the_user_in_the_context_of_a_command(process: Process, paying: Any) -> None:
    agent = await paying(7)
    (question,) = await waiting(agent)
    result = await agent.ainvoke(Command(resume={question: APPROVE}), CONFIG, context=BY_ALICE)
    assert result["messages"][-2].artifact["approved_by"] == "unknown"
    assert await answered_by(process) == ["unknown"]


@pytest.mark.parametrize(
    ("by", "kept"), [("bob", "bob"), ("  ", "unknown"), ("b\0b", "b\N{REPLACEMENT CHARACTER}b")]
)
async def test_an_answer_says_who_gave_it(process: Process, paying: Any, by: str, kept: str) -> None:
    agent = await paying(7)
    (question,) = await waiting(agent)
    await agent.ainvoke(Command(resume={question: REJECT | {"by": by}}), CONFIG, context=BY_ALICE)
    assert await answered_by(process) == [kept]


async def test_an_answer_can_be_of_its_type(process: Process, paying: Any, paid: list[int]) -> None:
    agent = await paying(7)
    (question,) = await waiting(agent)
    answer = ApprovalAnswer(decisions=[Decision(type="approve")], by="bob")
    result = await resume_thread(agent, "t", answers={question: answer})
    assert (result["answer"]["text"], paid) == ("Done.", [7])
    assert await answered_by(process) == ["bob"]


@pytest.mark.parametrize(
    ("answer", "wrong"),
    [
        (WRONG, "decisions.0.type: Input should be 'approve', 'edit', 'reject' or 'respond'"),
        ({"outcome": "happened"}, "decisions: Field required; outcome: Extra inputs are not permitted"),
        ("yes", "Input should be a valid dictionary or instance of ApprovalAnswer"),
        (None, "Input should be a valid dictionary"),
        (APPROVE | {"decisions": []}, "decisions: List should have at least 1 item"),
    ],
)
async def test_an_answer_in_no_form_is_refused_and_nothing_is_lost(
    process: Process, paying: Any, paid: list[int], answer: Any, wrong: str
) -> None:
    agent = await paying(7, 8)
    one, other = await waiting(agent)
    with pytest.raises(InputError) as refused:
        await resume_thread(agent, "t", answers={one: APPROVE, other: answer})
    assert repr(other) in str(refused.value)
    assert "May pay be called? " in str(refused.value)
    assert wrong in str(refused.value)
    assert '"approve", "edit", "reject" or "respond"' in str(refused.value)
    assert (paid, await answered_by(process)) == ([], [None, None])
    assert ids_of(await resume_thread(agent, "t")) == [one, other]
    await resume_thread(agent, "t", answers={one: APPROVE, other: REJECT})
    assert len(paid) == 1


@pytest.mark.parametrize("name", ["made up", "0" * 32])
async def test_an_answer_to_a_question_that_is_not_open_is_refused(
    paying: Any, paid: list[int], name: str
) -> None:
    agent = await paying(7)
    (question,) = await waiting(agent)
    with pytest.raises(InputError, match=f"no open question '{name}'. Open are: {question}"):
        await resume_thread(agent, "t", answers={question: APPROVE, name: APPROVE})
    assert ids_of(await resume_thread(agent, "t")) == [question]
    await resume_thread(agent, "t", answers={question: APPROVE})
    with pytest.raises(InputError, match="Open are: none"):
        await resume_thread(agent, "t", answers={question: APPROVE})
    assert (await resume_thread(agent, "t"))["answer"]["text"] == "Done."
    assert paid == [7]


def by_id(question: str) -> Any:
    return Command(resume={question: WRONG})


def bare(_question: str) -> Any:
    return Command(resume=WRONG)


def under_no_id(question: str) -> Any:
    return Command(resume={f"{question}!": APPROVE})


@pytest.mark.parametrize("raw", [by_id, bare, under_no_id])
async def test_a_command_that_answers_nothing_is_asked_again_and_spoils_nothing(
    process: Process, paying: Any, paid: list[int], raw: Callable[[str], Any]
) -> None:
    agent = await paying(7)
    (question,) = await waiting(agent)
    again = await agent.ainvoke(raw(question), CONFIG)
    assert ids_of(again) == [question]
    assert again["__interrupt__"][0].value["refused"].startswith("The last answer was none: decisions")
    assert ids_of(await agent.ainvoke(raw(question), CONFIG)) == [question]
    for _ in range(2):
        assert ids_of(await resume_thread(agent, "t")) == [question]
    assert (await agent.aget_state(CONFIG)).interrupts[0].id == question
    assert (paid, await answered_by(process)) == ([], [None])
    result = await resume_thread(agent, "t", answers={question: APPROVE | {"by": "bob"}})
    assert (result["answer"]["text"], paid) == ("Done.", [7])
    assert await answered_by(process) == ["bob"]


async def test_a_good_answer_without_an_id_follows_a_bad_one(paying: Any, paid: list[int]) -> None:
    agent = await paying(7)
    await waiting(agent)
    await agent.ainvoke(bare(""), CONFIG)
    result = await agent.ainvoke(Command(resume=APPROVE), CONFIG)
    assert (result["answer"]["text"], paid) == ("Done.", [7])


async def test_an_agent_within_another_graph_asks_again_too(saver: Any, paying: Any, paid: list[int]) -> None:
    agent = await paying(7, checkpointer=None)
    builder = StateGraph(AgentState, input_schema=AgentInput)
    builder.add_node("agent", agent)
    builder.add_edge(START, "agent")
    builder.add_edge("agent", END)
    outer: Any = builder.compile(checkpointer=saver)
    (question,) = await waiting(outer)
    for raw in (by_id, bare):
        assert ids_of(await outer.ainvoke(raw(question), CONFIG)) == [question]
        assert ids_of(await outer.ainvoke(None, CONFIG)) == [question]
    with pytest.raises(InputError, match="can't be taken"):
        await resume_thread(outer, "t", answers={question: WRONG})
    await resume_thread(outer, "t", answers={question: APPROVE})
    assert paid == [7]


async def test_a_question_that_a_tool_asks_itself_takes_any_answer(saver: Any, speaking: Any) -> None:
    async def colour() -> str:
        """Ask for a colour."""
        return str(interrupt("Which colour?"))

    script = [Reply(tool_calls=(ToolCall("colour"),)), "Done."]
    tools = [contract(colour, effect="read")]
    agent = create_agent(llm=await speaking(script), tools=tools, checkpointer=saver)
    (question,) = await waiting(agent)
    result = await resume_thread(agent, "t", answers={question: "red"})
    assert result["messages"][-2].text == "red"
