"""Parts of a request side by side: one declines, one asks, one is done. And decisions that are made again."""

from typing import Any

import pytest
from langgraph.types import Command

from core.process import Process
from evals.scripted_model import Reply, ToolCall
from graphs.hierarchy import Team, create_hierarchy
from graphs.router import Specialist, create_router
from graphs.single import create_agent
from guardrails.approval import always
from observability.tracing import current_tracing
from tools.contract import contract
from tools.declining import decline

CONFIG: Any = {"configurable": {"thread_id": "desk"}}
ASKED: Any = {"messages": [("user", "The policy, refund 7 and refund 9")]}
APPROVE = {"decisions": [{"type": "approve"}], "by": "ann"}
DECLINES = Reply(tool_calls=(ToolCall("decline", {"reason": "I only read manuals."}),))


def decides(*parts: tuple[str, str]) -> Reply:
    """Return a decision: specialist and request of each part."""
    told = [
        {"specialist": name, "confidence": 0.9, "reason": "it fits", "request": request}
        for name, request in parts
    ]
    return Reply(tool_calls=(ToolCall("Decision", {"parts": told}),))


def refunds(amount: int) -> Reply:
    return Reply(tool_calls=(ToolCall("refund", {"amount": amount}),))


class Staff:
    """Agents with their models, and what they have paid for real."""

    def __init__(self, speaking: Any) -> None:
        self._speaking = speaking
        self.models: dict[str, Any] = {}
        self.paid: list[int] = []

    async def agent(self, name: str, *lines: Any) -> Any:
        async def refund(amount: int) -> str:
            """Give money back."""
            self.paid.append(amount)
            return f"refunded {amount}"

        self.models[name] = await self._speaking(lines)
        tools = [contract(refund, approval=always), decline()]
        return create_agent(llm=self.models[name], tools=tools, name=name)

    def asked(self, name: str) -> int:
        """Return how often the model of an agent was asked."""
        return len(self.models[name].metadata["scripted"].requests)


@pytest.fixture
def staff(speaking: Any) -> Staff:
    return Staff(speaking)


@pytest.fixture
async def desk(saver: Any, speaking: Any, staff: Staff) -> Any:
    """Return a function that makes a router of its lines, and of those of its specialists by name."""

    async def make(*lines: Any, **specialists: Any) -> Any:
        given = [Specialist(name, name, await staff.agent(name, *said)) for name, said in specialists.items()]
        return create_router(llm=await speaking(lines), specialists=given, checkpointer=saver)

    return make


async def decisions(process: Process) -> list[tuple[Any, ...]]:
    await (await current_tracing()).flush()
    database = await process.database()
    async with database.pool.connection() as connection:
        rows = await connection.execute(
            "select step, choice, decided_by from boring.decision where kind = 'route' order by step, choice"
        )
        return [tuple(row.values()) for row in await rows.fetchall()]


async def test_a_part_that_is_declined_waits_for_the_question_of_another_and_then_gets_its_second_choice(
    desk: Any, staff: Staff, process: Process
) -> None:
    router = await desk(
        decides(("manuals", "The policy?"), ("till", "Refund 7")),
        decides(("rules", "The policy?")),
        manuals=[DECLINES],
        till=[refunds(7), "Paid 7."],
        rules=["30 days."],
    )
    result = await router.ainvoke(ASKED, CONFIG)
    [question] = result["__interrupt__"]
    assert (staff.paid, staff.asked("rules")) == ([], 0)
    result = await router.ainvoke(Command(resume={question.id: APPROVE}), CONFIG)
    assert result["answer"]["text"] == "**The policy?**\n\n30 days.\n\n**Refund 7**\n\nPaid 7."
    assert result["answer"]["status"] == "answered"
    assert (staff.paid, staff.asked("manuals"), staff.asked("till"), staff.asked("rules")) == ([7], 1, 2, 1)
    assert await decisions(process) == [(1, "manuals", "model"), (1, "till", "model"), (2, "rules", "model")]


async def test_questions_of_two_parts_are_answered_by_id_one_after_the_other_and_siblings_rest(
    desk: Any, staff: Staff
) -> None:
    router = await desk(
        decides(("rules", "The policy?"), ("till", "Refund 7"), ("bank", "Refund 9")),
        rules=["30 days."],
        till=[refunds(7), "Paid 7."],
        bank=[refunds(9), "Paid 9."],
    )
    result = await router.ainvoke(ASKED, CONFIG)
    questions = {str(one.value): one.id for one in result["__interrupt__"]}
    [bank] = [name for text, name in questions.items() if "'amount': 9" in text]
    [till] = [name for text, name in questions.items() if "'amount': 7" in text]
    result = await router.ainvoke(Command(resume={bank: APPROVE}), CONFIG)
    assert [one.id for one in result["__interrupt__"]] == [till]
    assert staff.paid == [9]
    result = await router.ainvoke(Command(resume={till: APPROVE}), CONFIG)
    assert result["answer"]["text"] == (
        "**The policy?**\n\n30 days.\n\n**Refund 7**\n\nPaid 7.\n\n**Refund 9**\n\nPaid 9."
    )
    assert (staff.paid, staff.asked("rules"), staff.asked("till"), staff.asked("bank")) == ([9, 7], 1, 2, 2)


async def test_a_team_that_declines_beside_one_that_asks_is_replaced_once_the_question_is_answered(
    saver: Any, speaking: Any, staff: Staff
) -> None:
    def task(team: str, name: str) -> ToolCall:
        return ToolCall(team, {"task": name, "goal": "go"})

    teams = [
        Team("manuals", "Reads.", await staff.agent("manuals", DECLINES)),
        Team("till", "Pays.", await staff.agent("till", refunds(7), "Paid 7.")),
        Team("rules", "Knows.", await staff.agent("rules", "30 days.")),
    ]
    lines = [
        Reply(tool_calls=(task("manuals", "policy"), task("till", "pay"))),
        Reply(tool_calls=(task("rules", "policy"),)),
        "Both done.",
    ]
    office = create_hierarchy(llm=await speaking(lines), teams=teams, checkpointer=saver)
    [question] = (await office.ainvoke(ASKED, CONFIG))["__interrupt__"]
    result = await office.ainvoke(Command(resume={question.id: APPROVE}), CONFIG)
    assert result["answer"]["text"] == "Both done."
    told = {one["task"]: (one["agent"], one["status"]) for one in result["answer"]["contributions"]}
    assert told == {"policy": ("rules", "answered"), "pay": ("till", "answered")}
    assert (staff.paid, staff.asked("manuals"), staff.asked("till")) == ([7], 1, 2)


async def test_a_step_that_decides_again_leaves_one_decision_the_newer_one(
    desk: Any, process: Process
) -> None:
    """A process that ends after `plan` has recorded its decision, and before its checkpoint is written."""
    router = await desk(
        decides(("manuals", "The policy?")),
        decides(("rules", "The policy?")),
        manuals=[],
        rules=["30 days."],
    )
    await router.ainvoke(ASKED, CONFIG, interrupt_before=["plan"], durability="sync")
    before = (await router.aget_state(CONFIG)).config
    await router.ainvoke(None, CONFIG, interrupt_after=["plan"], durability="sync")
    assert await decisions(process) == [(1, "manuals", "model")]
    result = await router.ainvoke(None, before)
    assert result["answer"]["text"] == "30 days."
    assert await decisions(process) == [(1, "rules", "model")]
