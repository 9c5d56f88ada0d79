"""Nobody is asked to approve a call that its tool's circuit breaker refuses, or asked about it twice."""

from typing import Any

from langchain_core.messages import HumanMessage
from langgraph.types import Command

from core.context import RunContext
from core.process import Process
from evals.scripted_model import Reply, ToolCall
from graphs.single import create_agent
from guardrails.approval import always
from guardrails.breaking import THRESHOLD
from tools.breakers import current_breakers
from tools.contract import contract

CONFIG: Any = {"configurable": {"thread_id": "t"}}
NAME = "tool:pay"


class Payments:
    """An agent that pays once approved."""

    def __init__(self, llm: Any, saver: Any) -> None:
        self.made: list[int] = []

        async def pay(amount: int) -> str:
            """Pay."""
            self.made.append(amount)
            return "paid"

        self.agent = create_agent(llm=llm, tools=[contract(pay, approval=always)], checkpointer=saver)

    async def runs(self, given: Any) -> Any:
        return await self.agent.ainvoke(given, CONFIG, context=RunContext())

    async def asked(self) -> Any:
        return await self.runs({"messages": [HumanMessage("Pay")]})

    async def approved(self, result: Any) -> Any:
        (question,) = result["__interrupt__"]
        return await self.runs(Command(resume={question.id: {"decisions": [{"type": "approve"}]}}))


async def breaks() -> None:
    breakers = await current_breakers()
    for _ in range(THRESHOLD):
        await breakers.failed(NAME, TimeoutError())


async def payments(speaking: Any, saver: Any, calls: int = 1) -> Payments:
    pays = [Reply(tool_calls=(ToolCall("pay", {"amount": 5}),))] * calls
    return Payments(await speaking([*pays, "Done."]), saver)


async def test_a_person_is_not_asked_about_a_call_that_is_refused(
    process: Process, saver: Any, speaking: Any
) -> None:
    del process
    one = await payments(speaking, saver)
    await breaks()
    result = await one.asked()
    assert "__interrupt__" not in result
    assert (result["messages"][-2].artifact["outcome"], one.made) == ("refused", [])


async def test_a_call_that_is_refused_after_its_approval_is_not_asked_about_again(
    process: Process, saver: Any, speaking: Any
) -> None:
    del process
    one = await payments(speaking, saver, calls=2)
    waiting = await one.asked()
    await breaks()
    result = await one.approved(waiting)
    assert "__interrupt__" not in result
    outcomes = [message.artifact["outcome"] for message in result["messages"] if message.type == "tool"]
    assert (outcomes, one.made) == (["refused", "refused"], [])


async def test_a_probe_that_waits_for_a_person_gives_its_place_back(
    process: Process, saver: Any, speaking: Any
) -> None:
    one = await payments(speaking, saver)
    await breaks()
    database = await process.database()
    async with database.pool.connection() as connection:
        await connection.execute("update boring.breaker set reopen_at = now()")
    breakers = await current_breakers()
    await breakers._reload(NAME)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - nobody announces what the clock does
    waiting = await one.asked()
    (state,) = await breakers.states()
    assert state.state == "open"
    assert (await one.approved(waiting))["answer"]["text"] == "Done."
    (state,) = await breakers.states()
    assert (state.state, one.made) == ("closed", [5])
