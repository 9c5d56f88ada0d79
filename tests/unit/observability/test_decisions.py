from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider

from core.database import Database
from observability import names
from observability.noting import DecisionStore, Noted, Once, note_decision
from observability.spans import invocation, step_span
from tests.runs import begins

WHOSE = {names.TENANT: "acme", names.USER: "ann", names.CONVERSATION: "t"}


@pytest.fixture
async def database(database: Database) -> Database:
    await begins(database, "r", thread_id="t")
    return database


def decided(step: int, *choices: str, kind: Any = "route", place: str = "", once: bool = True) -> list[Noted]:
    """Return what a step notes that decides these parts."""
    noted = list[Noted]()
    with invocation(TracerProvider().get_tracer("test"), "g", WHOSE, decide=noted.append) as one:
        one.belongs_to("r", None)
        with step_span(one, "plan", {}):
            for part, choice in enumerate(choices):
                whole = Once(place, part) if once else None
                note_decision(kind, choice, step=step, candidates=[choice, "z"], once=whole, confidence=0.5)
    return noted


async def kept(database: Database) -> list[tuple[int, str, str]]:
    async with database.pool.connection() as connection:
        rows = await connection.execute(
            "select step, kind, choice, candidates from boring.decision order by step, kind, choice"
        )
        found = await rows.fetchall()
    assert all(row["candidates"] == [row["choice"], "z"] for row in found)
    return [(row["step"], row["kind"], row["choice"]) for row in found]


@pytest.mark.parametrize("at_once", [True, False])
async def test_what_a_step_decides_that_runs_again_replaces_what_it_decided(
    database: Database, *, at_once: bool
) -> None:
    noted = [
        *decided(1, "a", "b", "c"),
        *decided(2, "a"),
        *decided(1, "a", kind="fallback"),
        *decided(1, "x", place="below"),
        *decided(1, "d", "e"),
    ]
    store = DecisionStore(database)
    for batch in [noted] if at_once else [[one] for one in noted]:
        await store.deliver(batch)
    assert await kept(database) == [
        (1, "fallback", "a"),
        (1, "route", "d"),
        (1, "route", "e"),
        (1, "route", "x"),
        (2, "route", "a"),
    ]


async def test_nothing_is_left_of_a_step_that_decided_many_things_before_it_ran_again(
    database: Database,
) -> None:
    many, few = decided(1, *(f"choice {n}" for n in range(40))), decided(1, "a", "b")
    store = DecisionStore(database)
    for batches in ([*many, *few],), (many, few), (many[:20], many[20:], few[:1], few[1:]):
        for batch in batches:
            await store.deliver(batch)
        assert await kept(database) == [(1, "route", "a"), (1, "route", "b")]


async def test_other_decisions_are_kept_each_and_once_however_often_they_are_delivered(
    database: Database,
) -> None:
    noted = decided(1, "look_up", "look_up", kind="tool", once=False)
    for _ in range(2):
        await DecisionStore(database).deliver(noted)
    assert await kept(database) == [(1, "tool", "look_up")] * 2


async def test_nothing_is_kept_of_a_run_that_there_is_not(database: Database) -> None:
    await DecisionStore(database).deliver([replace(one, run_id="gone") for one in decided(1, "a")])
    assert await kept(database) == []


async def test_how_sure_and_when_it_was_is_kept(database: Database) -> None:
    [noted] = decided(1, "a")
    await DecisionStore(database).deliver([noted])
    async with database.pool.connection() as connection:
        row = await (await connection.execute("select * from boring.decision")).fetchone()
    assert row
    assert (row["confidence"], row["decided_at"], row["span_id"]) == (0.5, noted.decided_at, noted.span_id)
    assert noted.decided_at <= datetime.now(UTC)
