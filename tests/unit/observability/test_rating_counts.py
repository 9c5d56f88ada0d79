"""What was said of a run in short is what was said of it, whoever says it when and whatever is forgotten."""

import asyncio
from typing import Any, LiteralString

import pytest
from psycopg.errors import InsufficientPrivilege

from core.database import Database
from core.tenants import as_tenant
from memory.forgetting import erase, traces
from observability.feedback import NewFeedback, Rating, ratings_of, store_feedback
from observability.signals import note_signal
from tests.unit.observability.test_feedback import database as database


async def rows(database: Database, statement: LiteralString) -> list[dict[str, Any]]:
    async with database.pool.connection() as connection:
        return await (await connection.execute(statement)).fetchall()


async def test_what_many_say_at_once_is_all_counted(database: Database) -> None:
    async with asyncio.TaskGroup() as group:
        for number in range(12):
            said = NewFeedback("r1", f"rater {number}", number % 2, comment="Why." if number < 3 else None)
            group.create_task(store_feedback(database, "acme", said))
    assert await ratings_of(database, None, ["r1", "r2"]) == {"r1": Rating(0.5, 12)}
    [row] = await rows(
        database,
        "select tenant, agent, comments, began_at = started_at as same"
        " from boring.run join boring.run_rating using (run_id)",
    )
    assert row == {"tenant": "acme", "agent": "clerk", "comments": 3, "same": True}


async def test_each_person_counts_once_however_many_keys_they_use(database: Database) -> None:
    for number in range(10):
        await store_feedback(database, "acme", NewFeedback("r1", "eve", 0, key=f"key {number}"))
    await store_feedback(database, "acme", NewFeedback("r1", "ada", 1, comment="Good."))
    await store_feedback(database, "acme", NewFeedback("r1", "ada", 0, comment="Rude.", key="tone"))
    await store_feedback(database, "acme", NewFeedback("r1", "ann", 1, key="tone"))
    await store_feedback(database, "acme", NewFeedback("r1", "ann", 0.6, key="length"))
    await store_feedback(database, "acme", NewFeedback("r1", "bob", comment="No score."))
    await note_signal(database, "r1", "rephrased")
    assert await ratings_of(database, None, ["r1"]) == {"r1": Rating(0.6, 4, ("rephrased",))}
    [row] = await rows(database, "select comments from boring.run_rating")
    assert row == {"comments": 3}


SAY: LiteralString = """
insert into boring.feedback (tenant, user_id, run_id, thread_id, agent, key, score, source, given_by)
values ('acme', 'ada', 'r1', 't', 'clerk', 'k', 1, 'operator', %s)
"""
WAITING: LiteralString = """
select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()
"""


async def test_who_counts_while_another_one_does_counts_both(database: Database) -> None:
    async def say(by: str) -> None:
        async with as_tenant(database, "acme") as connection:
            await connection.execute(SAY, (by,))

    await say("ann")
    async with asyncio.TaskGroup() as group, as_tenant(database, "acme") as connection:
        await connection.execute(SAY, ("bob",))
        group.create_task(say("carl"))
        while not await rows(database, WAITING):
            pass
    assert await ratings_of(database, None, ["r1"]) == {"r1": Rating(1, 3)}


async def test_who_is_forgotten_is_in_no_rating(database: Database) -> None:
    await store_feedback(database, "acme", NewFeedback("r1", "ann", 1))
    await store_feedback(database, "acme", NewFeedback("r2", "ada", 1))
    await store_feedback(database, "acme", NewFeedback("r2", "ann", 0))
    async with database.pool.connection() as connection, connection.transaction():
        await erase(connection, await traces(connection, "acme", "ada"))
    assert await ratings_of(database, None, ["r1", "r2"]) == {"r2": Rating(0, 1)}
    assert len(await rows(database, "select from boring.run_rating")) == 1


@pytest.mark.parametrize(
    "statement",
    [
        "update boring.run_rating set score = 1",
        "delete from boring.run_rating",
        "select boring.count_said('r1')",
    ],
)
async def test_no_tenant_writes_a_rating_that_nobody_gave(
    database: Database, statement: LiteralString
) -> None:
    await store_feedback(database, "acme", NewFeedback("r1", "ann", 0))
    with pytest.raises(InsufficientPrivilege):
        async with as_tenant(database, "acme") as connection:
            await connection.execute(statement)
