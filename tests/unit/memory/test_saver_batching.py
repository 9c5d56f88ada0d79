import asyncio
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.serde.types import ERROR, RESUME
from pydantic import SecretStr

from core.database import Database
from core.errors import ThreadBusyError
from core.process import current_process, opened_process
from core.settings import Settings
from core.worker import opened_worker
from memory.checkpoints import postgres_checkpointer
from memory.saver import Saver
from memory.saver_batching import MOST_ENTRIES


@pytest.fixture
async def saver(postgres_url: str) -> AsyncIterator[Saver]:
    async with opened_process(Settings(database_url=SecretStr(postgres_url))):
        yield await postgres_checkpointer()


@pytest.fixture
async def database(saver: Saver) -> Database:
    del saver
    return await (await current_process()).database()


def on(thread_id: str) -> Any:
    return {"configurable": {"thread_id": thread_id, "checkpoint_ns": ""}}


async def put(saver: Saver, thread_id: str, value: Any = "said") -> Any:
    """Save a checkpoint with a value; lists are stored beside it, texts within."""
    checkpoint = empty_checkpoint()
    checkpoint["channel_values"] = {"channel": value}
    checkpoint["channel_versions"] = {"channel": "1"}
    return await saver.aput(on(thread_id), checkpoint, {"step": 0}, {"channel": "1"})


async def value_of(saver: Saver, thread_id: str) -> Any:
    found = await saver.aget_tuple(on(thread_id))
    return None if found is None else found.checkpoint["channel_values"]["channel"]


async def commits(database: Database) -> int:
    """Return how many transactions saved the checkpoints that are there."""
    async with database.pool.connection() as connection:
        found = await connection.execute("select count(distinct xmin::text) as n from checkpoints")
        row = await found.fetchone()
    assert row is not None
    return row["n"]


async def lease(database: Database, thread_id: str, worker: str) -> None:
    async with database.pool.connection() as connection:
        await connection.execute("insert into boring.thread_lease values (%s, %s)", (thread_id, worker))


async def test_what_many_runs_save_at_the_same_moment_is_one_commit(saver: Saver, database: Database) -> None:
    async with asyncio.TaskGroup() as group:
        for number in range(16):
            group.create_task(put(saver, f"t{number}"))
    assert await commits(database) == 1


async def test_each_of_many_threads_gets_what_was_saved_for_it(saver: Saver) -> None:
    values = {f"t{number}": [f"{number}" * number] for number in range(2 * MOST_ENTRIES)}

    async def run(thread_id: str) -> None:
        there = await put(saver, thread_id, values[thread_id])
        await saver.aput_writes(there, [("channel", values[thread_id]), ("other", thread_id)], "task")

    async with asyncio.TaskGroup() as group:
        for thread_id in values:
            group.create_task(run(thread_id))
    for thread_id, value in values.items():
        assert await value_of(saver, thread_id) == value
        found = await saver.aget_tuple(on(thread_id))
        assert found is not None
        assert found.pending_writes == [("task", "channel", value), ("task", "other", thread_id)]


async def test_a_save_that_the_database_refuses_fails_alone(saver: Saver) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(put(saver, "good"))
        bad = group.create_task(_refused(saver))
        group.create_task(put(saver, "too"))
    assert isinstance(await bad, psycopg.errors.UntranslatableCharacter)
    assert [await value_of(saver, one) for one in ("good", "bad", "too")] == ["said", None, "said"]


async def _refused(saver: Saver) -> psycopg.Error:
    with pytest.raises(psycopg.Error) as refused:
        await put(saver, "bad", "\x00")
    return refused.value


async def test_a_busy_thread_is_refused_and_what_is_saved_beside_it_is_saved(
    saver: Saver, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memory.saver.PATIENCE_S", 0.0)

    async def busy() -> None:
        with pytest.raises(ThreadBusyError, match="is working on the thread 'busy'"):
            await put(saver, "busy")

    async with opened_worker(database) as other:
        await other.present()
        await lease(database, "busy", other.id)
        async with asyncio.TaskGroup() as group:
            group.create_task(put(saver, "good"))
            group.create_task(busy())
    assert [await value_of(saver, one) for one in ("good", "busy")] == ["said", None]


async def test_a_thread_that_is_being_given_back_holds_up_no_other(saver: Saver, database: Database) -> None:
    await lease(database, "held", "somebody who is gone")
    async with (
        asyncio.TaskGroup() as group,
        database.pool.connection() as connection,
        connection.transaction(),
    ):
        await connection.execute("delete from boring.thread_lease")
        held = group.create_task(put(saver, "held"))
        await group.create_task(put(saver, "free"))
        assert await value_of(saver, "free") == "said"
        assert not held.done()
    assert await value_of(saver, "held") == "said"


@pytest.mark.parametrize("rounds", range(6))
async def test_a_cancelled_save_takes_no_other_with_it(saver: Saver, rounds: int) -> None:
    cancelled = asyncio.create_task(put(saver, "cancelled"))
    other = asyncio.create_task(put(saver, "other"))
    for _ in range(rounds):
        await asyncio.sleep(0)
    cancelled.cancel()
    await other
    assert await value_of(saver, "other") == "said"


async def test_a_checkpoint_and_writes_that_are_saved_twice_at_once_are_there_once(saver: Saver) -> None:
    checkpoint = empty_checkpoint()
    async with asyncio.TaskGroup() as group:
        twice = [group.create_task(saver.aput(on("t"), checkpoint, {"step": 0}, {})) for _ in range(2)]
    there = await twice[0]
    async with asyncio.TaskGroup() as group:
        for _ in range(2):
            group.create_task(saver.aput_writes(there, [(ERROR, "no")], "task"))
    found = [one async for one in saver.alist(on("t"))]
    assert [one.pending_writes for one in found] == [[("task", ERROR, "no")]]


async def test_saves_of_one_thread_arrive_in_the_order_in_which_they_were_asked_for(saver: Saver) -> None:
    there = await put(saver, "t")
    for _ in range(10):
        async with asyncio.TaskGroup() as group:
            for number in range(5):
                group.create_task(saver.aput_writes(there, [(RESUME, [number])], "task"))
        found = await saver.aget_tuple(on("t"))
        assert found is not None
        assert [value for _, channel, value in found.pending_writes or () if channel == RESUME] == [[4]]


async def test_a_small_save_does_not_overtake_a_large_one_of_its_thread(saver: Saver) -> None:
    there, ended = await put(saver, "t"), list[str]()

    async def saved(name: str, saving: Any) -> None:
        await saving
        ended.append(name)

    async with asyncio.TaskGroup() as group:
        group.create_task(saved("large", saver.aput_writes(there, [("channel", "x" * 2_000_000)], "task")))
        await asyncio.sleep(0)
        group.create_task(saved("small", put(saver, "t", "next")))
    assert ended == ["large", "small"]
