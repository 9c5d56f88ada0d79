"""What `boring ask` proposes for a call that waits for approval, who asks, and answers given as JSON."""

import json
from typing import Any

import pytest

from tests.unit.app.approval_desk import Desk


async def test_who_asks_by_name_approves_nothing_of_it(desk: Desk) -> None:
    told = await desk.boring("ask", "Pay 500", "--graph", "shop", "--thread", "own", "--user", "Ann", code=5)
    (row,) = await desk.told("--thread", "own")
    assert row["requester"] == "Ann"
    await desk.boring("approvals", "approve", row["id"], "--by", "carl")
    refused = await desk.boring("approvals", "approve", row["id"], "--by", "ann", code=2)
    assert "ann asked for this call, and nobody approves their own request" in refused
    assert "--answer approve" not in told
    assert (await desk.told())[0]["requester"] == "local"
    assert "is no name for who asks" in await desk.boring("ask", "Hi", "--user", " ", code=2)


async def test_the_proposed_commands_take_the_decision(desk: Desk) -> None:
    (row,) = await desk.told()
    told = await desk.boring("resume", "rent", "--graph", "shop", code=5)
    proposed = [line.strip() for line in told.splitlines() if line.startswith("  boring ")]
    name = row["id"][:8]
    assert proposed == [f"boring approvals {word} {name} --by NAME" for word in ("approve", "reject")]
    words = proposed[0].replace("NAME", "carl").split()
    assert await desk.boring(*words[1:]) == f"{name} waits for manager (0 of 2).\n"
    waiting = json.loads(await desk.boring("resume", "rent", "--graph", "shop", "--json", code=5))
    assert waiting["questions"][0]["request"] == row["id"]


async def test_a_confirmation_by_anybody_is_answered_by_resume(desk: Desk) -> None:
    told = await desk.boring("ask", "Pay 500", "--graph", "till", "--thread", "till", code=5)
    assert "  boring resume till --graph till --answer approve" in told.splitlines()
    assert "It is paid." in await desk.boring("resume", "till", "--graph", "till", "--answer", "approve")
    assert desk.paid() == ["500"]


ACTION: Any = {"name": "pay", "args": {"amount": 50}}
BIG: Any = {"name": "pay", "args": {"amount": 2**64}}


@pytest.mark.parametrize(
    ("decision", "paid"),
    [
        ({"type": "approve"}, ["500"]),
        ({"type": "edit", "edited_action": ACTION}, ["50"]),
        ({"type": "respond", "message": "paid by hand"}, []),
        ({"type": "reject", "message": "too dear"}, []),
    ],
)
async def test_an_answer_may_be_json_in_the_documented_form(desk: Desk, decision: Any, paid: Any) -> None:
    await desk.boring("ask", "Pay 500", "--graph", "till", "--thread", "till", code=5)
    answer = json.dumps({"decisions": [decision], "by": "ann"})
    told = await desk.boring("resume", "till", "--graph", "till", "--answer", answer)
    assert ("It is paid." in told, desk.paid()) == (True, paid)
    (row,) = await desk.told("--all", "--thread", "till")
    assert row["settled_by"] == "ann"


async def test_json_counts_as_the_decision_of_a_level_by_who_is_named(desk: Desk) -> None:
    edit = {"decisions": [{"type": "edit", "edited_action": ACTION}]}
    words = ("resume", "rent", "--graph", "shop", "--answer", json.dumps(edit), "--by", "carl")
    assert "It is paid." in await desk.boring(*words)
    assert desk.paid() == ["50"]


NO_ANSWERS = [
    (("maybe",), "--answer is 'maybe'. Answers are: happened"),
    (("[1]",), "--answer is '[1]'"),
    (('{"decisions": ' + "[" * 9_999 + "]" * 9_999 + "}",), "JSON that is nested too deep"),
    (
        (json.dumps({"decisions": [{"type": "edit", "edited_action": BIG}]}),),
        "decisions.0.edited_action.args: Value error, an integer has more than 63 bits",
    ),
    (('{"decisions": [{"type": "edit"}]}',), "edited_action belongs to a decision of the type edit"),
    (('{"outcome": "happened"}',), "--answer can't be taken: decisions: Field required"),
    (('{"decisions": [{"type": "approve"}]}', "--with", "x"), "--answer is JSON, and says itself"),
    (('{"decisions": [], "by": "a"}', "--by", "b"), "--answer is JSON, and says itself"),
]


async def test_an_answer_that_is_none_is_refused(desk: Desk) -> None:
    for words, why in NO_ANSWERS:
        assert why in await desk.boring("resume", "rent", "--graph", "shop", "--answer", *words, code=2)
    assert (await desk.told())[0]["version"] == 1
