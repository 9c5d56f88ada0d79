"""A chain of three levels through all that can happen to it, each decision and sweep by its own process."""

from tests.unit.app.approval_desk import Desk

THREE = """
from pathlib import Path

from graphs.single import create_agent
from guardrails.approval import Escalate, Level, over
from tools.contract import contract


def pay(amount: int) -> str:
    '''Pay an amount.'''
    with (Path(__file__).parent / "ledger").open("a") as ledger:
        ledger.write(f"{amount}\\n")
    return f"paid {amount}"


levels = [
    Level("clerk"),
    Level("manager", quorum=2),
    Level("director", expires_s=1, on_expiry=Escalate("cfo", on_expiry="approve")),
]
graph = create_agent(tools=[contract(pay, approval=over("amount", 100, levels=levels))], name="three")
"""
ROLES = """
{"clerk": ["carl"], "manager": ["ann", "bob", "eve"], "director": ["dora"], "cfo": ["finn"]}
"""


async def test_three_levels_with_a_quorum_an_escalation_and_an_expiry_pay_once(desk: Desk) -> None:
    (desk.folder / "three.py").write_text(THREE)
    (desk.folder / "langgraph.json").write_text('{"graphs": {"three": "three:graph"}}')
    desk.env["BORING_ROLES"] = ROLES
    await desk.boring("ask", "Pay 700", "--graph", "three", "--thread", "long", code=5)
    (row,) = await desk.told("--thread", "long")
    for who, waits in (("carl", "manager (0 of 2)"), ("eve", "manager (1 of 2)"), ("ann", "director")):
        told = await desk.boring("approvals", "approve", row["id"], "--by", who)
        assert f"waits for {waits}" in told
    assert desk.paid() == []
    while "It is paid." not in await desk.boring("approvals", "sweep"):
        assert desk.paid() == []  # the second that each of the two roles has is not over yet
    assert "is approved already" in await desk.boring(
        "approvals", "approve", row["id"], "--by", "finn", code=2
    )
    assert await desk.boring("approvals", "sweep") == "Nothing is overdue.\n"
    assert desk.paid() == ["500"]
    assert [one["event"] for one in (await desk.told("show", row["id"]))["audit"]] == [
        *("request", "approve", "approve", "approve", "escalate", "expire", "resume")
    ]
    assert (await desk.told("verify"))["whole"]
