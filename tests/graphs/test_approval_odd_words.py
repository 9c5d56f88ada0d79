"""Answers that can't be stored as they are: words are mended, numbers and nesting refused before a run."""

from typing import Any

import pytest
from langgraph.types import Command

from core.errors import ConfigurationError, InputError
from core.process import Process
from graphs.recovery import resume_settled, resume_thread
from guardrails.approval import Level, over
from observability.audit import verify_audit
from tests.graphs.approvals import BY_USER, Shop, config, pays
from tools.deciding import DecisionRefusedError

ONE = over("amount", 100, levels=[Level("manager", quorum=2)])
ODD = "a\x00b\ud800"
MENDED = "a\N{REPLACEMENT CHARACTER}b?"


@pytest.fixture
def shop(saver: Any, speaking: Any, process: Process) -> Shop:
    return Shop(saver, speaking, process)


async def test_words_and_names_that_no_database_holds_are_kept_with_a_mark(shop: Shop) -> None:
    agent = await shop.agent(ONE, script=[pays(500), "Then not."], roles={"manager": [MENDED, "bob"]})
    await shop.asked(agent)
    row = await shop.decides(ODD, "respond", message=ODD)
    assert (row.status, row.result, row.settled_by) == ("answered", MENDED, MENDED)
    state: Any = await resume_settled(agent, row, by=ODD)
    assert (state["answer"]["text"], shop.told(state)) == ("Then not.", [MENDED])
    assert (await shop.request()).resumed_by == MENDED
    assert (await verify_audit(await shop.process.database())).is_whole


async def test_an_answer_with_a_nul_does_not_stop_the_thread_for_good(shop: Shop) -> None:
    agent = await shop.agent(ONE, script=[pays(500), "Then not."])
    await shop.asked(agent)
    answer: Any = {"decisions": [{"type": "reject", "message": "a\x00b"}], "by": "ann"}
    state = await agent.ainvoke(Command(resume=answer), config(), context=BY_USER)
    assert (state["answer"]["text"], shop.paid) == ("Then not.", [])
    assert (await shop.request()).result == "a\N{REPLACEMENT CHARACTER}b"


def nested(depth: int) -> list[Any]:
    within: list[Any] = []
    for _ in range(depth):
        within = [within]
    return within


@pytest.mark.parametrize(
    ("amount", "why"), [(2**64, "an integer has more than 63 bits"), (nested(300), "is nested more than 100")]
)
async def test_arguments_that_no_run_could_keep_are_refused_before_it_starts(
    shop: Shop, amount: Any, why: str
) -> None:
    agent = await shop.agent(over("amount", 100))
    await shop.asked(agent)
    (question,) = (await agent.aget_state(config())).interrupts
    action = {"name": "pay", "args": {"amount": amount, "to": "shop"}}
    answer = {"decisions": [{"type": "edit", "edited_action": action}], "by": "ann"}
    with pytest.raises(InputError, match=why):
        await resume_thread(agent, "t", answers={question.id: answer})
    assert ((await shop.request()).version, shop.paid) == (1, [])


async def test_one_person_under_two_spellings_counts_once(shop: Shop) -> None:
    roles = {"manager": ["ann", "Ann", "bob"]}
    await shop.asked(await shop.agent(ONE, roles=roles))
    await shop.decides("ann", "approve")
    with pytest.raises(DecisionRefusedError, match="Ann has decided already"):
        await shop.decides("Ann", "approve")
    assert (await shop.decides("bob", "approve")).status == "approved"


async def test_two_spellings_of_one_name_do_not_make_a_quorum_of_two(shop: Shop) -> None:
    with pytest.raises(ConfigurationError, match="2 have to agree, and 1 have the role"):
        await shop.agent(ONE, roles={"manager": ["ann", "ANN "]})
