"""A request that a new message in its thread overtook: closed, not shown as open, never confirmed."""

from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import uuid4

import pytest
from langchain_core.messages import HumanMessage
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command

from core.context import RunContext
from core.process import Process
from evals.scripted_model import Reply, ToolCall
from graphs.hierarchy import Team, create_hierarchy
from graphs.recovery import resume_thread
from guardrails.approval import Level, over
from memory.approvals import approvals
from memory.runs import receive_turn
from observability.audit import audit_of, verify_audit
from tests.graphs.approvals import ASKED, BY_USER, Shop, config, pays
from tools.deciding import DecisionRefusedError
from tools.inbox import close_overtaken, standing, sweep

ONE = over("amount", 100, levels=[Level("manager", quorum=2)])
NEVER_MIND: Any = {"messages": [("user", "Never mind. What time is it?")]}
OVERTAKEN = "was overtaken by a new message in the thread"


@pytest.fixture
def shop(saver: Any, speaking: Any, process: Process) -> Shop:
    return Shop(saver, speaking, process)


async def events(shop: Shop) -> list[tuple[str, str]]:
    row = await shop.request()
    return [(one.event, one.who) for one in await audit_of(await shop.process.database(), str(row.id))]


@pytest.mark.parametrize("kind", ["approve", "reject"])
async def test_a_decision_after_a_new_message_is_refused_and_the_request_closed(
    shop: Shop, kind: str
) -> None:
    agent = await shop.agent(ONE, script=[pays(500), "It is noon."])
    row = await shop.asked(agent)
    await shop.decides("ann", "approve")
    await agent.ainvoke(NEVER_MIND, config(), context=BY_USER)
    with pytest.raises(DecisionRefusedError, match=OVERTAKEN):
        await shop.decides("bob", kind, row=row)
    closed = await shop.request()
    assert (closed.status, closed.result) == ("denied", "It was overtaken by a new message in the thread.")
    assert await events(shop) == [("request", "uma"), ("approve", "ann"), ("overtake", "new message")]
    assert (await verify_audit(await shop.process.database())).is_whole
    assert shop.paid == []


PICTURE = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]


@pytest.mark.parametrize(
    "later", [HumanMessage(cast("Any", PICTURE)), HumanMessage("Do not pay", id="m1")], ids=["picture", "id"]
)
async def test_a_message_without_text_or_with_the_same_id_overtakes_too(
    shop: Shop, later: HumanMessage
) -> None:
    agent = await shop.agent(ONE, script=[pays(500), "Then not."])
    first: Any = {"messages": [HumanMessage("Pay 500", id="m1")]}
    await agent.ainvoke(first, config(), context=BY_USER)
    again: Any = {"messages": [later]}
    await agent.ainvoke(again, config(), context=BY_USER)
    with pytest.raises(DecisionRefusedError, match=OVERTAKEN):
        await shop.decides("ann", "approve")
    assert ((await shop.request()).settled_by, shop.paid) == ("new message", [])


async def test_an_agent_that_a_foreign_graph_runs_afterwards_overtakes_nothing(shop: Shop) -> None:
    inner = await shop.agent(ONE, checkpointer=None)
    foreign: Any = StateGraph(MessagesState, RunContext).add_node("pays", inner).add_edge(START, "pays")
    await foreign.compile(shop.saver).ainvoke(ASKED, config(), context=BY_USER)
    database = await shop.process.database()
    parts: Any = {"thread_id": "t", "graph": "single", "context": BY_USER, "turn_id": "of an answer"}
    await receive_turn(database, run_id="of the next agent", question="", **parts)
    assert len(await approvals(database)) == 1
    assert (await shop.decides("ann", "approve")).status == "open"


async def test_an_overtaken_request_of_a_team_is_not_shown_as_open(
    shop: Shop, saver: Any, speaking: Any
) -> None:
    inner = await shop.agent(ONE, checkpointer=None, name="inner")
    task = ToolCall("payments", {"task": "pay", "goal": "Pay 500"})
    script = [Reply(tool_calls=(task,)), "It is noon.", "Half past."]
    team = Team("payments", "Pays what is owed.", inner)
    agent = create_hierarchy(llm=await speaking(script), teams=[team], checkpointer=saver)
    await shop.asked(agent)
    database = await shop.process.database()
    assert len(await approvals(database)) == 1
    assert await close_overtaken(database) == []
    await agent.ainvoke(NEVER_MIND, config(), context=BY_USER)
    assert await approvals(database) == []
    assert [row.status for row in await close_overtaken(database)] == ["denied"]
    assert [name for name, _ in await events(shop)] == ["request", "overtake"]


async def test_a_change_that_no_run_has_looked_at_is_overtaken_too(shop: Shop) -> None:
    agent = await shop.agent(ONE, script=[pays(500), "It is noon."])
    await shop.asked(agent)
    edited = await shop.edits("ann", amount=400)
    await agent.ainvoke(NEVER_MIND, config(), context=BY_USER)
    row = await standing(await shop.process.database(), edited.id)
    assert row is not None
    assert (row.status, row.settled_by) == ("denied", "new message")


async def test_a_request_that_is_overtaken_and_overdue_does_not_approve_itself(shop: Shop) -> None:
    policy = over("amount", 100, levels=[Level("manager", expires_s=3600, on_expiry="approve")])
    agent = await shop.agent(policy, script=[pays(500), "It is noon."])
    await shop.asked(agent)
    await agent.ainvoke(NEVER_MIND, config(), context=BY_USER)
    later = datetime.now(UTC) + timedelta(hours=2)
    swept = await sweep(await shop.process.database(), now=later)
    assert [row.settled_by for row in swept] == ["new message"]


async def test_the_run_of_the_request_itself_overtakes_nothing(shop: Shop) -> None:
    agent = await shop.agent(ONE, script=["It is eleven.", pays(500), "Done."])
    await agent.ainvoke(NEVER_MIND, config(), context=BY_USER)
    await shop.asked(agent)
    await agent.ainvoke(NEVER_MIND, config("another thread"), context=BY_USER)
    (question,) = (await agent.aget_state(config())).interrupts
    answer: Any = {question.id: {"decisions": [{"type": "approve"}], "by": "ann"}}
    await agent.ainvoke(Command(resume=answer), config(), context=BY_USER)
    assert await close_overtaken(await shop.process.database()) == []
    row = await shop.decides("bob", "approve")
    assert row.status == "approved"
    await resume_thread(agent, "t")
    assert shop.paid == [(500, "shop")]


async def test_a_turn_that_is_run_once_more_from_its_beginning_overtakes_nothing(shop: Shop) -> None:
    agent = await shop.agent(ONE, script=[pays(500), pays(500), "Done."])
    row = await shop.asked(agent)
    (start,) = [one async for one in agent.aget_state_history(config()) if one.next == ("receive",)]
    again: Any = {**start.config, "run_id": uuid4()}
    await agent.ainvoke(None, again, context=BY_USER)
    assert await close_overtaken(await shop.process.database()) == []
    assert {row.run_id for row in await approvals(await shop.process.database())} >= {row.run_id}


async def test_a_fork_back_to_an_overtaken_request_does_not_make_its_call(shop: Shop) -> None:
    agent = await shop.agent(ONE, script=[pays(500), "It is noon.", "Then not."])
    await shop.asked(agent)
    waiting = (await agent.aget_state(config())).config
    await agent.ainvoke(NEVER_MIND, config(), context=BY_USER)
    answer: Any = {"decisions": [{"type": "approve"}], "by": "ann"}
    state = await agent.ainvoke(Command(resume=answer), waiting, context=BY_USER)
    assert shop.told(state) == [
        "new message rejected this call of pay: It was overtaken by a new message in the thread."
    ]
    assert (state["answer"]["text"], shop.paid) == ("Then not.", [])


@pytest.mark.parametrize("is_edited", [False, True])
async def test_a_fork_back_to_before_the_request_was_asked_about_does_not_ask_again(
    shop: Shop, *, is_edited: bool
) -> None:
    agent = await shop.agent(ONE, script=[pays(500), "It is noon.", "Then not."])
    row = await shop.asked(agent)
    (before,) = [one async for one in agent.aget_state_history(config()) if one.next == ("execute",)]
    if is_edited:
        await shop.edits("ann", amount=50)
    await agent.ainvoke(NEVER_MIND, config(), context=BY_USER)
    state = await agent.ainvoke(None, before.config, context=BY_USER)
    assert (state["answer"]["text"], shop.paid) == ("Then not.", [])
    assert (await shop.request()).id == row.id
