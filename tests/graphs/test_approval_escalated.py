"""Who edits the arguments in a level that was escalated has agreed in it; the others agree anew."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from core.process import Process
from graphs.recovery import resume_settled
from guardrails.approval import Escalate, Level, over
from observability.audit import verify_audit
from tests.graphs.approvals import Shop, levels
from tools.inbox import sweep

ESCALATING = Level("manager", quorum=2, expires_s=3600, on_expiry=Escalate("director"))
CHAIN = over("amount", 100, levels=[Level("clerk"), ESCALATING, Level("cfo")])


@pytest.fixture
def shop(saver: Any, speaking: Any, process: Process) -> Shop:
    return Shop(saver, speaking, process)


async def test_who_edits_after_an_escalation_has_agreed_in_the_escalated_level(shop: Shop) -> None:
    agent = await shop.agent(CHAIN)
    await shop.asked(agent)
    await shop.decides("carl", "approve")
    await shop.decides("ann", "approve")
    database = await shop.process.database()
    await sweep(database, now=datetime.now(UTC) + timedelta(hours=2))
    row = await shop.edits("dora", amount=400, to="shop")
    await resume_settled(agent, row, by="dora")
    assert levels(await shop.request()) == [
        ("clerk", "open", []),
        ("director", "waiting", ["dora"]),
        ("cfo", "waiting", []),
    ]
    row = await shop.decides("cora", "approve")
    assert levels(row)[1:] == [("director", "agreed", ["dora"]), ("cfo", "open", [])]
    row = await shop.decides("finn", "approve")
    assert row.status == "approved"
    await resume_settled(agent, row, by="finn")
    assert shop.paid == [(400, "shop")]
    assert (await verify_audit(database)).is_whole
