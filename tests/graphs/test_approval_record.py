"""What `verify` finds: requests whose row says something else than the record of what happened to them."""

from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString

import pytest

from core.process import Process
from graphs.recovery import resume_settled, resume_thread
from guardrails.approval import Escalate, Level, over
from memory.approvals import approvals
from observability.audit import Verified, verify_audit
from tests.graphs.approvals import Shop, pays
from tools.inbox import sweep

TWO = over(
    "amount",
    100,
    levels=[
        Level("clerk", expires_s=3600, on_expiry=Escalate("director")),
        Level("manager", expires_s=7200, on_expiry="approve"),
    ],
    order="parallel",
)

UPDATE: LiteralString = "update boring.approval set "


@pytest.fixture
def shop(saver: Any, speaking: Any, process: Process) -> Shop:
    return Shop(saver, speaking, process)


async def tampered(shop: Shop, change: LiteralString) -> None:
    async with (await shop.process.database()).pool.connection() as connection:
        await connection.execute(UPDATE + change)


async def verified(shop: Shop) -> Verified:
    return await verify_audit(await shop.process.database())


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ("status = 'approved', settled_by = 'ann'", "settled_by, status"),
        ("requester = 'nobody'", "requester"),
        ('arguments = \'{"amount": 9999, "to": "shop"}\'', "arguments"),
        ("arguments_hash = 'x'", "arguments_hash"),
        ("chain = jsonb_set(chain, '{levels,0,state}', '\"agreed\"')", "chain"),
        ("expires_at = null", "expires_at"),
        ("key = 'another action'", "key"),
        ("result = 'a result'", "result"),
        ("thread_id = 'u'", "thread_id"),
    ],
)
async def test_a_request_whose_row_was_changed_is_named(
    shop: Shop, change: LiteralString, names: str
) -> None:
    row = await shop.asked(await shop.agent(TWO))
    assert (await verified(shop)).is_whole
    await tampered(shop, change)
    found = await verified(shop)
    assert (found.is_whole, found.broken_at) == (False, None)
    assert found.requests == {str(row.id): f"its row says something else than the record: {names}"}


async def test_a_change_stays_known_when_it_was_put_on_record_by_a_later_decision(shop: Shop) -> None:
    row = await shop.asked(await shop.agent(TWO))
    await tampered(shop, "requester = 'nobody'")
    await shop.decides("carl", "approve")
    found = await verified(shop)
    assert found.requests == {
        str(row.id): "its row was changed before row 2 of the record by what is not on it: requester"
    }


async def test_a_row_that_was_set_back_to_how_it_once_was_is_named(shop: Shop) -> None:
    row = await shop.asked(await shop.agent(TWO))
    database = await shop.process.database()
    async with database.pool.connection() as connection:
        await connection.execute("create table earlier as table boring.approval")
        await shop.decides("carl", "approve")
        await connection.execute("delete from boring.approval")
        await connection.execute("insert into boring.approval table earlier")
    assert list((await verified(shop)).requests) == [str(row.id)]


async def test_a_request_that_was_taken_out_is_named(shop: Shop) -> None:
    row = await shop.asked(await shop.agent(TWO))
    async with (await shop.process.database()).pool.connection() as connection:
        await connection.execute("delete from boring.approval")
    assert (await verified(shop)).requests == {str(row.id): "it is on record, and its row is gone"}


async def test_a_request_that_lost_its_last_rows_on_record_is_named(shop: Shop) -> None:
    row = await shop.asked(await shop.agent(TWO))
    async with (await shop.process.database()).pool.connection() as connection:
        await connection.execute("alter table boring.audit disable trigger audit_only_grows")
        await connection.execute("delete from boring.audit")
    found = await verified(shop)
    assert found.requests == {str(row.id): "the last row about it is gone from the record"}


async def test_every_request_is_named_that_was_changed_and_no_other(shop: Shop) -> None:
    agent = await shop.agent(TWO, script=[pays(500)] * 4)
    rows = [await shop.asked(agent, thread=thread) for thread in "abcd"]
    await tampered(shop, "requester = 'nobody' where thread_id in ('b', 'd')")
    assert list((await verified(shop)).requests) == [str(rows[1].id), str(rows[3].id)]


async def test_two_levels_that_lapse_at_the_same_moment_leave_no_gap_in_the_record(shop: Shop) -> None:
    await shop.asked(await shop.agent(TWO))
    later = datetime.now(UTC) + timedelta(hours=3)
    await sweep(await shop.process.database(), now=later)
    found = await verified(shop)
    assert (found.rows, found.requests) == (3, {})


async def test_all_that_can_happen_to_a_request_leaves_its_row_as_the_record_says(shop: Shop) -> None:
    script = [pays(500), "Done.", pays(0), pays(10**18), "Done.", "Done."]
    agent = await shop.agent(TWO, script=script)
    database = await shop.process.database()
    await shop.asked(agent)
    await shop.edits("carl", amount="much")
    await resume_thread(agent, "t")
    row = await shop.edits("carl", amount=400, to="caf\u00e9 \u2028")
    await resume_settled(agent, row, by="carl")
    for hours in (2, 3, 4, 5):
        await sweep(database, now=datetime.now(UTC) + timedelta(hours=hours))
        assert (await verified(shop)).requests == {}
    (row,) = await approvals(database, settled=True)
    await resume_settled(agent, row, by="carl")
    found = await verified(shop)
    assert (found.is_whole, found.requests) == (True, {})
