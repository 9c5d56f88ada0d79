"""Chains of approval: who may decide, what a decision is about, and how a run goes on from it."""

from collections.abc import Callable
from typing import Any

import pytest
from langgraph.types import Command

from core.errors import InputError
from core.process import Process
from evals.scripted_model import Reply, ToolCall
from graphs.recovery import resume_settled, resume_thread
from guardrails.approval import Level, always, any_of, over
from memory.approvals import approvals
from observability.audit import audit_of, verify_audit
from tests.graphs.approvals import ASKED, BY_ANN, BY_USER, Shop, config, levels, pays
from tools.deciding import DecisionRefusedError
from tools.questions import Decision

TWO = over("amount", 100, levels=[Level("clerk"), Level("manager", quorum=2)])
APPROVE: Any = {"decisions": [{"type": "approve"}]}


@pytest.fixture
def shop(saver: Any, speaking: Any, process: Process) -> Shop:
    return Shop(saver, speaking, process)


async def events(shop: Shop) -> list[tuple[str, str, str]]:
    row = await shop.request()
    found = await audit_of(await shop.process.database(), str(row.id))
    return [(one.event, one.who, one.role) for one in found]


async def test_a_chain_is_agreed_level_by_level_in_the_inbox_and_the_run_goes_on(shop: Shop) -> None:
    agent = await shop.agent(TWO)
    row = await shop.asked(agent)
    assert (row.status, row.requester, row.tool, row.arguments) == (
        "open",
        "uma",
        "pay",
        {"amount": 500, "to": "shop"},
    )
    assert levels(row) == [("clerk", "open", []), ("manager", "waiting", [])]
    with pytest.raises(DecisionRefusedError, match="ann has none of the roles that are asked now: clerk"):
        await shop.decides("ann", "approve")
    assert levels(await shop.decides("carl", "approve"))[1] == ("manager", "open", [])
    row = await shop.decides("ann", "approve")
    assert (row.status, await resume_settled(agent, row, by="ann"), shop.paid) == ("open", None, [])
    row = await shop.decides("bob", "approve")
    assert row.status == "approved"
    state = await resume_settled(agent, row, by="bob")
    assert state is not None
    assert (state["answer"]["text"], shop.paid) == ("Done.", [(500, "shop")])
    assert state["messages"][-2].artifact["approved_by"] == "carl, ann, bob"
    assert await resume_settled(agent, row, by="ann") is None
    assert await events(shop) == [
        ("request", "uma", ""),
        ("approve", "carl", "clerk"),
        ("approve", "ann", "manager"),
        ("approve", "bob", "manager"),
        ("resume", "bob", ""),
    ]
    assert (await verify_audit(await shop.process.database())).is_whole


def by_command(agent: Any, question: str, answer: Any) -> Any:
    return agent.ainvoke(Command(resume={question: answer}), config(), context=BY_USER)


def by_bare_command(agent: Any, _question: str, answer: Any) -> Any:
    return agent.ainvoke(Command(resume=answer), config(), context=BY_USER)


def by_recovery(agent: Any, question: str, answer: Any) -> Any:
    return resume_thread(agent, "t", answers={question: answer})


@pytest.mark.parametrize("answering", [by_command, by_bare_command, by_recovery])
async def test_answers_to_the_runs_question_go_into_the_same_chain(
    shop: Shop, answering: Callable[..., Any]
) -> None:
    agent = await shop.agent(TWO)
    await shop.asked(agent)
    ids: list[str] = []
    for who in ("carl", "ann", "bob"):
        (question,) = (await agent.aget_state(config())).interrupts
        ids.append(question.id)
        state = await answering(agent, question.id, APPROVE | {"by": who})
    assert len(set(ids)) == 3
    assert (state["answer"]["text"], shop.paid) == ("Done.", [(500, "shop")])  # pyright: ignore[reportPossiblyUnboundVariable]
    assert [who for _, who, _ in await events(shop)] == ["uma", "carl", "ann", "bob", "run"]


@pytest.mark.parametrize(
    ("who", "why"),
    [
        ("ann", "ann asked for this call, and nobody approves their own request"),
        ("carl", "carl has none of the roles that are asked now: manager"),
        ("", "it is not known who decides"),
    ],
)
async def test_who_may_not_decide_is_refused_and_asked_again(shop: Shop, who: str, why: str) -> None:
    agent = await shop.agent(over("amount", 100, levels=[Level("manager")]))
    await shop.asked(agent, context=BY_ANN)
    with pytest.raises(DecisionRefusedError, match=why):
        await shop.decides(who, "approve")
    (question,) = (await agent.aget_state(config())).interrupts
    with pytest.raises(InputError, match=why):
        await resume_thread(agent, "t", answers={question.id: APPROVE | {"by": who}})
    again = await by_command(agent, question.id, APPROVE | {"by": who})
    assert why in again["__interrupt__"][0].value["refused"]
    assert (await events(shop), shop.paid) == ([("request", "ann", "")], [])
    (question,) = again["__interrupt__"]
    await by_command(agent, question.id, APPROVE | {"by": "bob"})
    assert shop.paid == [(500, "shop")]


class LoggedIn:
    """Somebody whom a server has authenticated."""

    is_authenticated = True
    permissions: tuple[str, ...] = ()

    def __init__(self, name: str) -> None:
        self.identity = self.display_name = name


async def test_whom_the_server_has_authenticated_can_decide_in_no_other_name(shop: Shop) -> None:
    agent = await shop.agent(over("amount", 100, levels=[Level("manager")]))
    await shop.asked(agent)
    for name, waits in (("mallory", True), ("ann", False)):
        as_them: Any = {"configurable": {"thread_id": "t", "langgraph_auth_user": LoggedIn(name)}}
        answer: Any = Command(resume=APPROVE | {"by": "bob"})
        state = await agent.ainvoke(answer, as_them, context=BY_USER)
        assert ("__interrupt__" in state) is waits
    assert [who for _, who, _ in await events(shop)] == ["uma", "ann", "run"]


async def test_nobody_decides_twice_in_a_level(shop: Shop) -> None:
    agent = await shop.agent(over("amount", 100, levels=[Level("manager", quorum=2)]))
    await shop.asked(agent)
    await shop.decides("ann", "approve")
    with pytest.raises(DecisionRefusedError, match="ann has decided already, as manager"):
        await shop.decides("ann", "approve")
    assert (await shop.decides("bob", "approve")).status == "approved"


async def test_levels_in_parallel_agree_in_any_order(shop: Shop) -> None:
    policy = over("amount", 100, levels=[Level("clerk"), Level("director")], order="parallel")
    agent = await shop.agent(policy)
    await shop.asked(agent)
    await shop.decides("dora", "approve")
    row = await shop.decides("carl", "approve")
    assert row.status == "approved"
    await resume_thread(agent, "t")
    assert shop.paid == [(500, "shop")]


async def test_a_rejection_ends_the_chain_and_the_model_reads_why(shop: Shop) -> None:
    agent = await shop.agent(TWO)
    await shop.asked(agent)
    row = await shop.decides("carl", "reject", message="too dear")
    assert row.status == "denied"
    state = await resume_settled(agent, row, by="carl")
    assert shop.told(state) == ["carl rejected this call of pay: too dear"]
    with pytest.raises(DecisionRefusedError, match="is denied already, by carl"):
        await shop.decides("cora", "approve")
    assert shop.paid == []


async def test_an_answer_in_the_tools_stead_is_its_result_and_the_tool_is_not_run(shop: Shop) -> None:
    agent = await shop.agent(TWO)
    await shop.asked(agent)
    row = await shop.decides("carl", "respond", message="paid by hand, number 7")
    state = await resume_settled(agent, row, by="carl")
    assert state is not None
    assert (shop.told(state), shop.paid) == (["paid by hand, number 7"], [])
    record = state["messages"][-2].artifact
    assert (record["outcome"], record["approved_by"], record["attempt"]) == ("ok", "carl", 0)


async def test_an_edit_is_agreed_to_again_by_the_levels_before(shop: Shop) -> None:
    agent = await shop.agent(TWO)
    before = await shop.asked(agent)
    await shop.decides("carl", "approve")
    await shop.decides("ann", "approve")
    row = await shop.edits("bob", amount=400, to="shop")
    assert (row.status, row.arguments["amount"]) == ("edited", 500)
    with pytest.raises(DecisionRefusedError, match=r"changed by bob, and its run has to look at them"):
        await shop.decides("eve", "approve")
    await resume_settled(agent, row, by="bob")
    row = await shop.request()
    assert levels(row) == [("clerk", "open", []), ("manager", "waiting", ["bob"])]
    assert (row.arguments["amount"], row.arguments_hash != before.arguments_hash) == (400, True)
    (question,) = (await agent.aget_state(config())).interrupts
    assert question.value["action_requests"][0]["args"] == {"amount": 400, "to": "shop"}
    await shop.decides("carl", "approve")
    row = await shop.decides("ann", "approve")
    state = await resume_settled(agent, row, by="ann")
    assert state is not None
    assert shop.paid == [(400, "shop")]
    told = 'bob changed the arguments of this call; it was made with {"amount": 400, "to": "shop"}.'
    assert shop.told(state) == [f"{told}\npaid 400 to shop"]
    assert state["messages"][-2].artifact["arguments"]["amount"] == 400
    assert [name for name, _, _ in await events(shop)] == [
        *("request", "approve", "approve", "edit", "renew", "approve", "approve", "resume")
    ]


async def test_an_edit_to_what_needs_no_approval_is_made(shop: Shop) -> None:
    agent = await shop.agent(TWO)
    await shop.asked(agent)
    await resume_settled(agent, await shop.edits("carl", amount=50), by="carl")
    assert (shop.paid, (await shop.request()).status) == ([(50, "shop")], "approved")


async def test_an_edit_to_more_asks_those_who_must_agree_to_more(shop: Shop) -> None:
    policy = any_of(
        over("amount", 100, levels=[Level("clerk")]), over("amount", 1000, levels=[Level("director")])
    )
    agent = await shop.agent(policy)
    await shop.asked(agent)
    await resume_settled(agent, await shop.edits("carl", amount=5000), by="carl")
    assert levels(await shop.request()) == [("clerk", "agreed", ["carl"]), ("director", "open", [])]
    assert shop.paid == []
    await resume_settled(agent, await shop.decides("dora", "approve"), by="dora")
    assert shop.paid == [(5000, "shop")]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"amount": []}, r"amount: \[\] is not of type 'integer'"),
        ({"to": "x"}, "'amount' is a required property"),
        ({"amount": 7, "of": 1}, "of: there is no such argument"),
        ({"amount": 500, "to": "shop"}, "are as before; approve them instead"),
    ],
)
async def test_an_edit_that_the_tool_does_not_take_is_refused(shop: Shop, arguments: Any, why: str) -> None:
    agent = await shop.agent(TWO)
    await shop.asked(agent)
    with pytest.raises(DecisionRefusedError, match=why):
        await shop.edits("carl", **arguments)
    assert (await shop.request()).status == "open"


async def test_an_edit_that_only_the_contract_can_judge_is_refused_when_the_run_looks(shop: Shop) -> None:
    agent = await shop.agent(TWO)
    await shop.asked(agent)
    await resume_settled(agent, await shop.edits("carl", amount="a lot"), by="carl")
    row = await shop.request()
    assert (row.status, row.arguments["amount"], levels(row)[0]) == ("open", 500, ("clerk", "open", []))
    (question,) = (await agent.aget_state(config())).interrupts
    assert (
        "The last change of the arguments was refused" in question.value["action_requests"][0]["description"]
    )
    assert shop.paid == []


async def test_a_form_that_sends_numbers_as_text_can_edit(shop: Shop) -> None:
    agent = await shop.agent(TWO)
    await shop.asked(agent)
    await resume_settled(agent, await shop.edits("carl", amount="50", to="7"), by="carl")
    assert shop.paid == [(50, "7")]


async def test_a_decision_of_other_arguments_is_refused(shop: Shop) -> None:
    agent = await shop.agent(TWO)
    before = await shop.asked(agent)
    (question,) = (await agent.aget_state(config())).interrupts
    await resume_settled(agent, await shop.edits("carl", amount=400), by="carl")
    with pytest.raises(DecisionRefusedError, match="is about other arguments, with the hash"):
        await shop.decides("ann", "approve", row=before)
    with pytest.raises(InputError, match=f"no open question '{question.id}'"):
        await resume_thread(agent, "t", answers={question.id: APPROVE | {"by": "ann"}})
    assert shop.paid == []


async def test_arguments_that_were_changed_behind_everybodys_back_are_not_used(shop: Shop) -> None:
    agent = await shop.agent(over("amount", 100, levels=[Level("clerk")]))
    await shop.asked(agent)
    row = await shop.decides("carl", "approve")
    async with (await shop.process.database()).pool.connection() as connection:
        await connection.execute("update boring.approval set arguments = '{\"amount\": 9999}'")
    state = await resume_settled(agent, row, by="carl")
    assert shop.told(state) == [
        "This call of pay was not made. Its arguments are not those that were approved."
    ]
    assert shop.paid == []


async def test_requests_of_many_threads_are_found_without_opening_one(shop: Shop) -> None:
    agent = await shop.agent(TWO, script=[pays(500), pays(600), pays(700)])
    for thread in ("one", "two", "three"):
        await agent.ainvoke(ASKED, config(thread), context=BY_USER)
    database = await shop.process.database()
    found = await approvals(database)
    assert [(row.thread_id, row.arguments["amount"]) for row in found] == [
        *(("one", 500), ("two", 600), ("three", 700))
    ]
    assert await approvals(database, tenant="another") == []


async def test_the_payload_is_what_agent_chat_ui_shows(shop: Shop) -> None:
    agent = await shop.agent(TWO)
    row = await shop.asked(agent)
    (question,) = (await agent.aget_state(config())).interrupts
    (action,) = question.value["action_requests"]
    (review,) = question.value["review_configs"]
    assert action == {
        "name": "pay",
        "args": {"amount": 500, "to": "shop"},
        "description": "amount is 500, over 100. Asked is: clerk.",
    }
    assert review["action_name"] == action["name"]
    assert review["allowed_decisions"] == ["approve", "edit", "reject", "respond"]
    assert review["args_schema"]["properties"]["amount"]["type"] == "integer"
    assert question.value["approval"]["arguments_hash"] == row.arguments_hash
    edited = {"type": "edit", "edited_action": {"name": "pay", "args": {"amount": "60", "to": "shop"}}}
    schema = question.response_schema
    assert isinstance(schema, dict)
    decision = schema["$defs"]["Decision"]
    assert decision["properties"]["type"]["enum"] == ["approve", "edit", "reject", "respond"]
    await agent.ainvoke(Command(resume={"decisions": [edited], "by": "carl"}), config(), context=BY_USER)
    assert shop.paid == [(60, "shop")]


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": "edit"},
        {"type": "approve", "edited_action": {"name": "pay", "args": {}}},
        {"type": "respond", "message": " "},
    ],
)
def test_a_decision_that_is_not_whole_is_none(wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"edited_action belongs|respond needs a message"):
        Decision.model_validate(wrong)


async def test_who_approves_the_own_request_in_the_only_way_there_is_gets_told_so(shop: Shop) -> None:
    agent = await shop.agent(over("amount", 100, levels=[Level("manager", quorum=3)]))
    state = await agent.ainvoke(ASKED, config(), context=BY_ANN)
    assert shop.told(state) == [
        "pay needs approval by 3 of the role 'manager' other than ann, and there are not so many."
    ]
    assert shop.paid == []


async def test_a_confirmation_takes_whoever_is_at_the_keyboard_and_can_be_edited(shop: Shop) -> None:
    agent = await shop.agent(over("amount", 100))
    row = await shop.asked(agent)
    row = await shop.edits("", amount=300)
    await resume_settled(agent, row, by="")
    assert shop.paid == [(300, "shop")]
    assert [who for _, who, _ in await events(shop)][:2] == ["uma", "unknown"]


async def test_an_approval_within_a_nested_agent_surfaces_and_is_found_in_the_inbox(
    shop: Shop, saver: Any, speaking: Any
) -> None:
    inner = await shop.agent(TWO, checkpointer=None, name="inner")
    outer = await nested(inner, saver, speaking)
    row = await shop.asked(outer)
    (question,) = (await outer.aget_state(config())).interrupts
    assert question.value["approval"]["id"] == str(row.id)
    await resume_thread(outer, "t", answers={question.id: APPROVE | {"by": "carl"}})
    await shop.decides("ann", "approve")
    row = await shop.decides("bob", "approve")
    state = await resume_settled(outer, row, by="bob")
    assert state is not None
    assert (state["answer"]["text"], shop.paid) == ("All is paid.", [(500, "shop")])
    assert (await shop.request()).resumed_by == "bob"


async def nested(inner: Any, saver: Any, speaking: Any) -> Any:
    """Return a supervisor over a team that is this agent."""
    from graphs.hierarchy import Team, create_hierarchy  # noqa: PLC0415 - beside what uses it

    task = {"task": "pay", "goal": "Pay 500"}
    script = [Reply(tool_calls=(ToolCall("payments", task),)), "All is paid."]
    team = Team("payments", "Pays what is owed.", inner)
    return create_hierarchy(llm=await speaking(script), teams=[team], checkpointer=saver)


@pytest.mark.parametrize("who", ["expiry", " new message "])
async def test_nobody_decides_by_a_name_that_stands_for_no_person(shop: Shop, who: str) -> None:
    await shop.asked(await shop.agent(always))
    with pytest.raises(DecisionRefusedError, match="Nobody can decide as"):
        await shop.decides(who, "reject")
    assert (await shop.request()).status == "open"
