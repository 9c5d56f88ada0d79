"""Approval over time: restarts between decisions, approvers at the same moment, time that runs out."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from core.errors import ThreadBusyError
from core.process import Process, opened_process
from core.settings import Settings
from evals.scripted_model import ScriptedModel
from graphs.recovery import resume_settled, resume_thread
from guardrails.approval import Escalate, Level, over
from memory.approvals import approvals
from memory.checkpoints import postgres_checkpointer
from memory.claims import current_claims
from observability.audit import audit_of, verify_audit
from tests.graphs.approvals import ASKED, BY_USER, Shop, config, levels, pays
from tools.deciding import DecisionRefusedError
from tools.inbox import sweep, take_up

HOUR_S = 3600.0
LATER = timedelta(hours=2)
THREE = over(
    "amount",
    100,
    levels=[
        Level("clerk"),
        Level("manager", quorum=2, expires_s=HOUR_S, on_expiry=Escalate("director")),
        Level("cfo", expires_s=HOUR_S),
    ],
)


@pytest.fixture
def shop(saver: Any, speaking: Any, process: Process) -> Shop:
    return Shop(saver, speaking, process)


def one_level(**level: Any) -> Any:
    return over("amount", 100, levels=[Level("manager", **level)])


async def swept(shop: Shop) -> list[str]:
    """Let two hours pass; return what stands of the requests that were overdue."""
    found = await sweep(await shop.process.database(), now=datetime.now(UTC) + LATER)
    return [row.status for row in found]


@pytest.fixture
def restarted(postgres_url: str, tmp_path: Path, speaking: Any) -> Callable[[], Any]:
    """Return what opens everything anew on one database: process, checkpointer, agent, model client."""
    settings = Settings(database_url=SecretStr(postgres_url), data_dir=tmp_path, cache_dir=tmp_path)
    paid: list[tuple[int, str]] = []
    models: list[ScriptedModel] = []

    @asynccontextmanager
    async def opened() -> AsyncGenerator[tuple[Shop, Any]]:
        async with opened_process(settings) as process:
            shop = Shop(await postgres_checkpointer(), speaking, process)
            shop.paid = paid
            agent = await shop.agent(THREE, script=["Done."] if models else [pays(500)])
            models.append(shop.model)
            yield shop, agent

    return opened


async def test_three_levels_two_of_three_expiry_and_escalation_with_a_restart_before_each_decision(
    restarted: Callable[[], Any],
) -> None:
    async with restarted() as (shop, agent):
        assert levels(await shop.asked(agent))[0] == ("clerk", "open", [])
    async with restarted() as (shop, agent):
        await shop.decides("carl", "approve")
    async with restarted() as (shop, agent):
        row = await shop.decides("ann", "approve")
        assert levels(row)[1] == ("manager", "open", ["ann"])
    async with restarted() as (shop, agent):
        assert await swept(shop) == ["open"]
        assert levels(await shop.request())[1] == ("director", "open", [])
        with pytest.raises(DecisionRefusedError, match="bob has none of the roles"):
            await shop.decides("bob", "approve")
    async with restarted() as (shop, agent):
        assert levels(await shop.decides("dora", "approve"))[2] == ("cfo", "open", [])
    async with restarted() as (shop, agent):
        assert shop.paid == []
        row = await shop.decides("finn", "approve")
        assert row.status == "approved"
    async with restarted() as (shop, agent):
        state = await resume_settled(agent, row, by="finn")
        assert state is not None
        assert (state["answer"]["text"], shop.paid) == ("Done.", [(500, "shop")])
    async with restarted() as (shop, agent):
        assert (await resume_thread(agent, "t"))["answer"]["text"] == "Done."
        assert shop.paid == [(500, "shop")]
        database = await shop.process.database()
        found = await audit_of(database, str(row.id))
        assert [(one.event, one.who) for one in found] == [
            ("request", "uma"),
            ("approve", "carl"),
            ("approve", "ann"),
            ("escalate", "expiry"),
            ("approve", "dora"),
            ("approve", "finn"),
            ("resume", "finn"),
        ]
        assert (await verify_audit(database)).is_whole


async def test_two_of_three_managers_are_enough_while_there_is_time(shop: Shop) -> None:
    agent = await shop.agent(THREE)
    await shop.asked(agent)
    for who in ("carl", "ann", "eve", "finn"):
        row = await shop.decides(who, "approve")
    await resume_settled(agent, row, by="finn")  # pyright: ignore[reportPossiblyUnboundVariable]
    assert shop.paid == [(500, "shop")]


@pytest.mark.parametrize("attempt", range(10))
async def test_of_two_approvers_at_the_same_moment_both_count_and_one_resumes(
    shop: Shop, attempt: int
) -> None:
    del attempt
    agent = await shop.agent(one_level(quorum=2))
    await shop.asked(agent)
    row = await shop.request()

    async def press(who: str) -> Any:
        after = await shop.decides(who, "approve", row=row)
        return await resume_settled(agent, after, by=who)

    async with asyncio.TaskGroup() as group:
        pressed = [group.create_task(press(who)) for who in ("ann", "bob")]
    states = [task.result() for task in pressed]
    assert [state is None for state in states].count(True) == 1
    assert shop.paid == [(500, "shop")]
    names = [one.event for one in await audit_of(await shop.process.database(), str(row.id))]
    assert names == ["request", "approve", "approve", "resume"]


@pytest.mark.parametrize("attempt", range(5))
async def test_who_completes_a_chain_while_the_first_ones_run_still_asks_waits_and_resumes(
    shop: Shop, attempt: int
) -> None:
    del attempt
    agent = await shop.agent(one_level(quorum=2))
    row = await shop.asked(agent)
    (question,) = (await agent.aget_state(config())).interrupts

    async def answers() -> None:
        decision: Any = {"decisions": [{"type": "approve"}], "by": "ann"}
        await resume_thread(agent, "t", answers={question.id: decision})

    async def press() -> None:
        await resume_settled(agent, await shop.decides("bob", "approve", row=row), by="bob")

    async with asyncio.TaskGroup() as group:
        group.create_task(answers())
        group.create_task(press())
    assert shop.paid == [(500, "shop")]
    assert (await agent.aget_state(config())).values["answer"]["text"] == "Done."


async def test_many_who_press_at_once_are_counted_one_by_one(shop: Shop) -> None:
    agent = await shop.agent(one_level(quorum=3))
    row = await shop.asked(agent)

    async def press(who: str) -> str:
        try:
            return (await shop.decides(who, "approve", row=row)).status
        except DecisionRefusedError:
            return "refused"

    async with asyncio.TaskGroup() as group:
        pressed = [group.create_task(press(who)) for who in ["ann", "bob", "eve"] * 4]
    told = sorted(task.result() for task in pressed)
    assert told == ["approved", "open", "open"] + ["refused"] * 9
    assert (await verify_audit(await shop.process.database())).rows == 4


async def test_a_resumer_that_dies_leaves_the_run_to_anybody(shop: Shop) -> None:
    agent = await shop.agent(one_level())
    await shop.asked(agent)
    row = await shop.decides("ann", "approve")
    assert await take_up(await shop.process.database(), row.id, "ann")  # and she is gone
    assert await resume_settled(agent, row, by="bob") is None
    await resume_thread(agent, "t")
    assert shop.paid == [(500, "shop")]


async def test_a_thread_that_another_run_holds_is_waited_for_or_left_to_the_next(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = await shop.agent(one_level())
    await shop.asked(agent)
    row = await shop.decides("ann", "approve")
    claims = await current_claims()
    async with asyncio.TaskGroup() as group, claims.working("t", object()) as claim:
        with monkeypatch.context() as patched:
            patched.setattr("tools.waiting.PATIENCE_S", 0.05)
            with pytest.raises(ThreadBusyError):
                await resume_settled(agent, row, by="ann")
        assert (await shop.request()).resumed_at is None
        group.create_task(resume_settled(agent, row, by="ann"))
        async with asyncio.timeout(20):
            while (await shop.request()).resumed_at is None:
                pass  # each look waits for the database
        with pytest.raises(ThreadBusyError):
            await resume_thread(agent, "t")
        claim.ending = True
    assert shop.paid == [(500, "shop")]


@pytest.mark.parametrize(
    ("level", "status", "paid"),
    [
        ({"on_expiry": "deny"}, "denied", []),
        ({"on_expiry": "approve"}, "approved", [(500, "shop")]),
        ({"on_expiry": Escalate("director")}, "open", []),
    ],
)
async def test_time_that_ran_out_is_treated_as_the_policy_says(
    shop: Shop, level: Any, status: str, paid: Any
) -> None:
    agent = await shop.agent(one_level(expires_s=HOUR_S, **level))
    await shop.asked(agent)
    assert await sweep(await shop.process.database()) == []
    assert await swept(shop) == [status]
    state = await resume_thread(agent, "t")
    assert shop.paid == paid
    if status == "denied":
        assert shop.told(state) == ["expiry rejected this call of pay: Nobody decided in time as manager."]


async def test_who_is_asked_last_and_stays_silent_denies(shop: Shop) -> None:
    agent = await shop.agent(one_level(expires_s=HOUR_S, on_expiry=Escalate("director")))
    await shop.asked(agent)
    database = await shop.process.database()
    now = datetime.now(UTC)
    found = [await sweep(database, now=now + LATER * times) for times in (1, 2)]
    assert [[row.status for row in rows] for rows in found] == [["open"], ["denied"]]


async def test_no_decision_counts_after_its_time(shop: Shop) -> None:
    agent = await shop.agent(one_level(expires_s=1e-6))
    row = await shop.asked(agent)
    with pytest.raises(DecisionRefusedError, match="is denied already, by expiry"):
        await shop.decides("ann", "approve", row=row)
    await resume_thread(agent, "t")
    assert shop.paid == []


async def test_an_overdue_request_that_a_run_meets_is_treated_without_a_sweeper(shop: Shop) -> None:
    agent = await shop.agent(one_level(expires_s=1e-6, on_expiry="approve"))
    state = await agent.ainvoke(ASKED, config(), context=BY_USER)
    assert state.get("__interrupt__") is None or await resume_thread(agent, "t")
    assert shop.paid == [(500, "shop")]


async def test_sweepers_at_the_same_moment_treat_each_request_once(shop: Shop) -> None:
    policy = one_level(expires_s=HOUR_S)
    agent = await shop.agent(policy, script=[pays(500) for _ in range(6)])
    for number in range(6):
        await shop.asked(agent, thread=f"t{number}")
    async with asyncio.TaskGroup() as group:
        sweeping = [group.create_task(swept(shop)) for _ in range(4)]
    assert sorted(status for task in sweeping for status in task.result()) == ["denied"] * 6
    database = await shop.process.database()
    assert {row.status for row in await approvals(database, settled=True)} == {"denied"}
    verified = await verify_audit(database)
    assert (verified.is_whole, verified.rows) == (True, 12)
