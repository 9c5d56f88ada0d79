"""What is said of a run while its user is forgotten waits until they are, and is kept of nobody."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from core.database import Database
from core.forgetting_gate import pass_gate
from memory.forgetting import erase, traces
from observability.feedback import (
    NewFeedback,
    NoSuchRunError,
    WantedFeedback,
    feedback_found,
    store_feedback,
)
from observability.signals import note_signal
from tests.unit.observability.test_feedback import database as database

AT_THE_GATE = """
select from pg_stat_activity
where wait_event_type = 'Lock' and wait_event = 'advisory' and datname = current_database()
"""


async def rates(database: Database) -> bool:
    try:
        await store_feedback(database, "acme", NewFeedback("r1", "ann", 0, comment="Ada was rude."))
    except NoSuchRunError:
        return False
    return True


async def marks(database: Database) -> bool:
    return await note_signal(database, "r1", "rephrased")


@pytest.mark.parametrize("writes", [rates, marks])
async def test_who_is_forgotten_meanwhile_gets_no_rating_and_no_signal(
    database: Database, writes: Callable[[Database], Coroutine[Any, Any, bool]]
) -> None:
    async with (
        asyncio.TaskGroup() as group,
        database.pool.connection() as looking,
        database.pool.connection() as forgetting,
        forgetting.transaction(),
    ):
        await pass_gate(forgetting, "acme", "ada", alone=True)
        writing = group.create_task(writes(database))
        while not (writing.done() or (await looking.execute(AT_THE_GATE)).rowcount):
            pass
        assert not writing.done()
        await erase(forgetting, await traces(forgetting, "acme", "ada"))
    assert not writing.result()
    assert await feedback_found(database, "acme", WantedFeedback()) == []
