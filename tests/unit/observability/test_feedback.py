"""What is said of runs is kept by tenant, refused where it makes no sense, and replaced by who said it."""

import asyncio
from secrets import token_hex
from typing import Any

import pytest
from psycopg.errors import InsufficientPrivilege

from core.database import Database
from core.errors import InputError
from core.tenants import as_tenant
from memory.forgetting import erase, traces
from observability.feedback import (
    MAX_KEYS,
    NewFeedback,
    WantedFeedback,
    feedback_found,
    ratings_of,
    store_feedback,
)
from tests.runs import begins

ALL = WantedFeedback()
WAITING = """
select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()
"""


@pytest.fixture
async def database(database: Database) -> Database:
    """A database with a run of two users of one tenant, and one of another tenant."""
    for run_id, tenant, user in (("r1", "acme", "ada"), ("r2", "acme", "bob"), ("r3", "umbrella", "eve")):
        await begins(database, run_id, tenant=tenant, user=user)
    return database


async def test_a_second_time_by_the_same_takes_the_place_of_the_first(database: Database) -> None:
    first = await store_feedback(database, "acme", NewFeedback("r1", "ada", score=1, comment="Good."))
    second = await store_feedback(database, "acme", NewFeedback("r1", "ada", score=0.2))
    other = await store_feedback(database, "acme", NewFeedback("r1", "ann", correction="It is 42."))
    third = await store_feedback(database, "acme", NewFeedback("r1", "ada", score=1, key="tone"))
    assert first.feedback.id == second.feedback.id
    assert (second.feedback.score, second.feedback.comment) == (0.2, None)
    assert [one.id for one in await feedback_found(database, "acme", ALL)] == [
        third.feedback.id,
        other.feedback.id,
        second.feedback.id,
    ]
    assert [first.feedback.source, other.feedback.source] == ["user", "peer"]
    assert (first.feedback.thread_id, first.feedback.agent) == ("r1", "clerk")
    again = await store_feedback(database, "acme", NewFeedback("r1", "ann", score=1, is_operator=True))
    assert (again.feedback.id, again.feedback.source) == (other.feedback.id, "operator")


async def test_nobody_says_something_of_a_run_under_keys_without_end(database: Database) -> None:
    for number in range(MAX_KEYS - 1):
        await store_feedback(database, "acme", NewFeedback("r1", "ann", 0, key=f"key {number}"))
    said = [NewFeedback("r1", "ann", 0, key=key) for key in ("last", "one more")]
    async with database.pool.connection() as looking, database.pool.connection() as holding:
        async with holding.transaction():
            await holding.execute("select from boring.run_rating where run_id = 'r1' for update")
            both = asyncio.gather(
                *(store_feedback(database, "acme", one) for one in said), return_exceptions=True
            )
            while (await looking.execute(WAITING)).rowcount < len(said):
                pass
        answers = await both
    [why] = [str(one) for one in answers if isinstance(one, InputError)]
    assert f"under {MAX_KEYS} keys" in why
    assert "Give a key that you have used" in why
    again = await store_feedback(database, "acme", NewFeedback("r1", "ann", 1, key="key 0"))
    assert again.feedback.score == 1
    await store_feedback(database, "acme", NewFeedback("r1", "bob", 0, key="key of his own"))
    assert len(await feedback_found(database, "acme", WantedFeedback(by="ann"))) == MAX_KEYS


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"score": 1.1}, "The score is 1.1. Give one from 0"),
        ({"score": float("nan")}, "The score is nan"),
        ({"score": -0.1}, "The score is -0.1"),
        ({}, "Nothing is said"),
        ({"comment": "  "}, "Nothing is said"),
        ({"comment": "x" * 10_001}, "10001 characters"),
        ({"score": 1, "key": ""}, "Give 1 to 100"),
        ({"score": 1, "by": " "}, "Name who"),
        ({"score": 1, "by": token_hex(1500)}, "3000 characters. Give 500"),
        ({"score": 1, "run_id": "none"}, "There is no run 'none'"),
        ({"score": 1, "run_id": "r3"}, "There is no run 'r3'"),
    ],
)
async def test_what_makes_no_sense_is_refused_and_nothing_is_kept(
    database: Database, said: dict[str, Any], why: str
) -> None:
    with pytest.raises(InputError, match=why):
        await store_feedback(database, "acme", new(**said))
    assert await feedback_found(database, "acme", ALL) == []


def new(**said: Any) -> NewFeedback:
    given: dict[str, Any] = {"run_id": "r1", "by": "ada", **said}
    return NewFeedback(**given)


async def test_no_tenant_sees_or_forges_what_another_one_said(database: Database) -> None:
    await store_feedback(database, "acme", NewFeedback("r1", "ada", score=1))
    await store_feedback(database, "umbrella", NewFeedback("r3", "eve", score=0))
    for tenant, run_id in (("acme", "r1"), ("umbrella", "r3"), ("nobody's", None)):
        found = await feedback_found(database, tenant, ALL)
        assert [one.run_id for one in found] == ([run_id] if run_id else [])
        assert set(await ratings_of(database, tenant, ["r1", "r3"])) == {run_id} - {None}
        async with as_tenant(database, tenant) as connection:
            rows = await (await connection.execute("select run_id from boring.feedback")).fetchall()
            assert [row["run_id"] for row in rows] == ([run_id] if run_id else [])
    with pytest.raises(InsufficientPrivilege):
        async with as_tenant(database, "umbrella") as connection:
            await connection.execute(
                "insert into boring.feedback (tenant, user_id, run_id, thread_id, agent, key, score, source,"
                " given_by) values ('acme', 'a', 'r1', 't', 'a', 'k', 1, 'user', 'a')"
            )


async def test_feedback_is_found_by_what_it_is_about(database: Database) -> None:
    await store_feedback(database, "acme", NewFeedback("r1", "ada", score=0.4))
    await store_feedback(database, "acme", NewFeedback("r2", "ann", score=0.9, key="tone", is_operator=True))
    for wanted, runs in (
        (WantedFeedback(user="bob"), ["r2"]),
        (WantedFeedback(key="user_score"), ["r1"]),
        (WantedFeedback(source="operator"), ["r2"]),
        (WantedFeedback(most=0.5), ["r1"]),
        (WantedFeedback(agent="clerk"), ["r2", "r1"]),
        (WantedFeedback(agent="other"), []),
        (WantedFeedback(run_id="r1"), ["r1"]),
    ):
        assert [one.run_id for one in await feedback_found(database, "acme", wanted)] == runs


async def test_who_is_forgotten_leaves_no_feedback_on_their_runs_and_none_of_their_own(
    database: Database,
) -> None:
    await store_feedback(database, "acme", NewFeedback("r1", "ann", comment="Ada was rude."))
    await store_feedback(database, "acme", NewFeedback("r2", "ada", comment="Bob's was better."))
    await store_feedback(database, "acme", NewFeedback("r2", "ann", score=1))
    async with database.pool.connection() as connection, connection.transaction():
        erased = await erase(connection, await traces(connection, "acme", "ada"))
    assert erased["feedback"] == 2
    assert [one.given_by for one in await feedback_found(database, "acme", ALL)] == ["ann"]
