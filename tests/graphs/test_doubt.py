"""What is in doubt stays in doubt, whatever the model, the user or the graph around does next."""

import asyncio
import json
from operator import add
from typing import Annotated, Any

import psycopg
import pytest
from langchain_core.messages import HumanMessage
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, Send

from core.context import RunContext
from core.state import AgentInput, AgentState
from evals.scripted_model import Reply, ToolCall
from graphs.recovery import resume_thread
from graphs.single import create_agent
from tools.contract import ONCE, ToolResult, contract
from tools.injection import Transaction

CONFIG: Any = {"configurable": {"thread_id": "doubt"}}
PAY = Reply(tool_calls=(ToolCall("pay", {"amount": 7}),))


def asks(text: str) -> Any:
    return {"messages": [("user", text)]}


class Bank:
    """Pays for real, and then answers as it is told to."""

    def __init__(self) -> None:
        self.paid: list[int] = []
        self.begun = asyncio.Event()
        self.garbled = False
        self.wanted = 1
        self.refusal: Exception | None = None
        self.hangs = False

    async def pay(self, amount: int) -> str:
        """Pay an amount."""
        self.paid.append(amount)
        if len(self.paid) >= self.wanted:
            self.begun.set()
        if self.refusal is not None:
            raise self.refusal
        if self.hangs:
            await asyncio.Event().wait()
        if self.garbled:
            json.loads("garbled")
        return f"paid {amount}, ref 4711"


@pytest.fixture
def bank() -> Bank:
    return Bank()


async def cut_off(agent: Any, bank: Bank) -> None:
    """Cancel a run in the middle of its payment."""
    bank.hangs = True
    running = asyncio.create_task(agent.ainvoke(asks("Pay 7"), CONFIG))
    await bank.begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    bank.hangs = False


async def test_a_call_that_failed_after_its_effect_is_not_repeated_unasked(
    saver: Any, speaking: Any, bank: Bank
) -> None:
    bank.garbled = True
    agent = create_agent(llm=await speaking([PAY, PAY, "Done."]), tools=[bank.pay], checkpointer=saver)
    result = await agent.ainvoke(asks("Pay 7"), CONFIG)
    question = result["__interrupt__"][0]
    assert "An equal call was made on this thread" in question.value["question"]
    answer = {question.id: {"outcome": "happened", "result": "ref 4711", "by": "bob"}}
    result = await agent.ainvoke(Command(resume=answer), CONFIG)
    assert (result["answer"]["text"], bank.paid) == ("Done.", [7])


async def test_a_new_message_does_not_pay_again_what_was_cut_off(
    saver: Any, speaking: Any, bank: Bank
) -> None:
    agent = create_agent(llm=await speaking([PAY, PAY, "Done."]), tools=[bank.pay], checkpointer=saver)
    await cut_off(agent, bank)
    result = await agent.ainvoke(asks("Pay 7, I said"), CONFIG)
    question = result["__interrupt__"][0]
    result = await agent.ainvoke(Command(resume={question.id: {"outcome": "not_happened"}}), CONFIG)
    assert (result["answer"]["text"], bank.paid) == ("Done.", [7, 7])
    told = [message.text for message in result["messages"] if message.type == "tool"]
    assert "it is not known whether it happened" in told[0]


async def test_a_new_message_tells_the_model_what_became_of_a_call_that_was_cut_off(
    process: Any, saver: Any, speaking: Any, bank: Bank
) -> None:
    async def hang() -> str:
        """Hang."""
        return await asyncio.Event().wait()  # pyright: ignore[reportReturnType] - never returns

    both = Reply(tool_calls=(*PAY.tool_calls, ToolCall("hang")))
    llm = await speaking([both, "It was paid."])
    agent = create_agent(llm=llm, tools=[bank.pay, contract(hang, effect="read")], checkpointer=saver)
    running = asyncio.create_task(agent.ainvoke(asks("Pay 7"), CONFIG, durability="sync"))
    await bank.begun.wait()
    database = await process.database()
    async with database.pool.connection() as connection:
        written = "select 1 from boring.effect where outcome = 'ok'"
        while await (await connection.execute(written)).fetchone() is None:
            pass
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await agent.ainvoke(asks("And?"), CONFIG)
    sent = llm.metadata["scripted"].requests[-1]["messages"]
    results = [message["content"] for message in sent if message["role"] == "tool"]
    assert results[0] == "paid 7, ref 4711"


async def test_agents_one_after_the_other_in_one_graph_keep_their_plans_apart(
    saver: Any, speaking: Any, bank: Bank
) -> None:
    shipped: list[int] = []

    async def ship(order: int) -> str:
        """Ship an order."""
        shipped.append(order)
        return f"shipped {order}"

    first = create_agent(llm=await speaking([PAY, "Paid."]), tools=[bank.pay], name="first")
    shipping = Reply(tool_calls=(ToolCall("ship", {"order": 1}),))
    second = create_agent(llm=await speaking([shipping, "Shipped."]), tools=[ship], name="second")
    builder = StateGraph(AgentState, input_schema=AgentInput)

    async def run_first(state: AgentState) -> Any:
        await first.ainvoke({"messages": state["messages"][:1]})
        return {}

    async def run_second(state: AgentState) -> Any:
        return {"answer": (await second.ainvoke({"messages": state["messages"][:1]}))["answer"]}

    builder.add_node("first", run_first)
    builder.add_node("second", run_second)
    builder.add_edge(START, "first")
    builder.add_edge("first", "second")
    builder.add_edge("second", END)
    result = await builder.compile(checkpointer=saver).ainvoke(asks("Do it"), CONFIG)
    assert (result["answer"]["text"], bank.paid, shipped) == ("Shipped.", [7], [1])


class Asked(AgentInput):
    """What a graph hands on, and how often it has."""

    times: Annotated[int, add]


@pytest.mark.parametrize("order", ["beside", "after"])
async def test_an_agent_that_is_asked_the_very_same_twice_does_it_twice(
    saver: Any, speaking: Any, bank: Bank, order: str
) -> None:
    def speak(request: Any) -> Reply:
        return Reply(text="Paid.") if request["messages"][-1]["role"] == "tool" else PAY

    pay = create_agent(llm=await speaking(speak), tools=[bank.pay], name="pay")

    async def hand_on(state: Asked) -> Any:
        await pay.ainvoke({"messages": state["messages"]})
        return {"times": 1}

    def next_one(state: Asked) -> Any:
        return END if order == "beside" or state["times"] == 2 else "pay"

    def first(state: Asked) -> Any:
        return [Send("pay", state) for _ in range(2 if order == "beside" else 1)]

    builder = StateGraph(Asked)
    builder.add_node("pay", hand_on)
    builder.add_conditional_edges(START, first, ["pay"])
    builder.add_conditional_edges("pay", next_one, ["pay", END])
    asked: Any = {"messages": [HumanMessage("Pay 7", id="same")]}
    result = await builder.compile(checkpointer=saver).ainvoke(asked, CONFIG)
    assert (bank.paid, result.get("__interrupt__")) == ([7, 7], None)


@pytest.mark.parametrize(("answers", "paid"), [("hh", 0), ("hn", 1), ("nn", 2)])
async def test_each_of_two_equal_calls_that_were_cut_off_is_settled_by_its_own_answer(
    saver: Any, speaking: Any, bank: Bank, answers: str, paid: int
) -> None:
    both = Reply(tool_calls=PAY.tool_calls * 2)
    agent = create_agent(llm=await speaking([both, "Done."]), tools=[bank.pay], checkpointer=saver)
    bank.wanted = 2
    await cut_off(agent, bank)
    bank.paid.clear()
    asked = (await resume_thread(agent, "doubt"))["__interrupt__"]
    outcomes = {"h": {"outcome": "happened", "result": "ref 1"}, "n": {"outcome": "not_happened"}}
    given = {one.id: outcomes[answer] for one, answer in zip(asked, answers, strict=True)}
    result = await resume_thread(agent, "doubt", answers=given)
    assert (result["answer"]["text"], bank.paid) == ("Done.", [7] * paid)
    told = [message.text for message in result["messages"] if message.type == "tool"]
    assert sorted(told) == sorted(["ref 1"] * (2 - paid) + ["paid 7, ref 4711"] * paid)


@pytest.mark.parametrize("refusal", [ConnectionRefusedError("later"), psycopg.errors.LockNotAvailable("l")])
async def test_a_refused_step_tells_nothing_of_the_steps_before_it(
    saver: Any, speaking: Any, bank: Bank, refusal: Exception
) -> None:
    bank.refusal = refusal
    agent = create_agent(llm=await speaking([PAY, PAY, "Done."]), tools=[bank.pay], checkpointer=saver)
    result = await agent.ainvoke(asks("Pay 7"), CONFIG)
    assert "An equal call was made" in result["__interrupt__"][0].value["question"]
    assert bank.paid == [7]


@pytest.mark.parametrize("told", [None, True, KeyError("x"), SystemExit(3), asyncio.CancelledError()])
async def test_a_hook_that_can_not_tell_has_a_person_asked(
    saver: Any, speaking: Any, bank: Bank, told: Any
) -> None:
    async def look_up(arguments: Any, key: str) -> Any:
        assert arguments
        assert key
        if isinstance(told, BaseException):
            raise told
        return told

    tool = contract(bank.pay, reconcile=look_up)
    agent = create_agent(llm=await speaking([PAY, "Done."]), tools=[tool], checkpointer=saver)
    await cut_off(agent, bank)
    result = await resume_thread(agent, "doubt")
    assert "could not tell" in result["__interrupt__"][0].value["question"]


async def test_a_person_is_asked_again_when_a_second_attempt_is_cut_off_too(
    saver: Any, speaking: Any, bank: Bank
) -> None:
    bank.hangs = True
    agent = create_agent(
        llm=await speaking([PAY, "Paid."]), tools=[contract(bank.pay, timeout_s=0.05)], checkpointer=saver
    )
    result = await agent.ainvoke(asks("Pay 7"), CONFIG)
    for _ in range(2):
        answer = {result["__interrupt__"][0].id: {"outcome": "not_happened"}}
        result = await agent.ainvoke(Command(resume=answer), CONFIG)
    answer = {result["__interrupt__"][0].id: {"outcome": "happened", "result": "paid at last"}}
    result = await agent.ainvoke(Command(resume=answer), CONFIG)
    assert (result["answer"]["text"], bank.paid) == ("Paid.", [7, 7, 7])


async def test_a_database_error_of_a_tool_is_an_observation_and_harms_no_sibling(
    saver: Any, speaking: Any, bank: Bank
) -> None:
    async def locked(transaction: Transaction) -> str:
        """Wait for a lock in vain."""
        del transaction
        raise psycopg.errors.LockNotAvailable("canceling statement due to lock timeout")

    both = Reply(tool_calls=(ToolCall("locked"), *PAY.tool_calls))
    tools = [contract(locked, effect="transactional", retry=ONCE), bank.pay]
    agent = create_agent(llm=await speaking([both, "Half."]), tools=tools, checkpointer=saver)
    result = await agent.ainvoke(asks("Go"), CONFIG)
    assert (result["answer"]["text"], bank.paid) == ("Half.", [7])


async def test_arguments_and_sources_that_can_not_be_stored_as_they_are_stick_no_run(
    saver: Any, speaking: Any
) -> None:
    taken: list[int] = []

    async def keep(number: int) -> ToolResult:
        """Keep a number."""
        taken.append(number)
        return ToolResult("kept", ({"source": "a\0b", "section": "", "text": "\ud800"},))

    huge = 99999999999999999999
    call = Reply(tool_calls=(ToolCall("keep", {"number": huge}),))
    agent = create_agent(llm=await speaking([call, "Kept."]), tools=[keep], checkpointer=saver)
    result = await agent.ainvoke(asks("Keep it"), CONFIG, context=RunContext(), durability="sync")
    assert (result["answer"]["status"], taken) == ("answered", [huge])


async def test_a_call_that_returns_something_new_each_time_is_no_loop(saver: Any, speaking: Any) -> None:
    rolls = iter(range(10))

    async def roll() -> int:
        """Roll the dice."""
        return next(rolls)

    again = Reply(tool_calls=(ToolCall("roll"),))
    agent = create_agent(
        llm=await speaking([again] * 4 + ["Rolled."]),
        tools=[contract(roll, effect="read")],
        checkpointer=saver,
    )
    result = await agent.ainvoke(asks("Roll four times"), CONFIG)
    assert result["answer"]["text"] == "Rolled."
