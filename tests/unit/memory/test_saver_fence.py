import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from langgraph.checkpoint.base import empty_checkpoint
from psycopg import AsyncConnection
from pydantic import SecretStr

from core.database import Database
from core.errors import ThreadBusyError
from core.process import current_process, opened_process
from core.settings import Settings
from core.worker import LOCK_OF, Worker, opened_worker
from memory.checkpoints import postgres_checkpointer
from memory.saver import Saver
from memory.saver_fence import note_held

THREAD: Any = {"configurable": {"thread_id": "t", "checkpoint_ns": ""}}


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[Database]:
    async with opened_process(Settings(database_url=SecretStr(postgres_url))):
        await postgres_checkpointer()
        yield await (await current_process()).database()


@pytest.fixture
async def saver(database: Database) -> AsyncIterator[Saver]:
    async with opened_worker(database) as worker:
        await worker.present()
        yield Saver(database.pool, worker)


async def lease(database: Database, worker: Worker | None) -> None:
    async with database.pool.connection() as connection:
        await connection.execute("delete from boring.thread_lease")
        if worker is not None:
            await connection.execute("insert into boring.thread_lease values ('t', %s)", (worker.id,))


async def put(saver: Saver) -> Any:
    return await saver.aput(THREAD, empty_checkpoint(), {"step": 0}, {})


async def checkpoints(saver: Saver) -> int:
    return len([one async for one in saver.alist(THREAD)])


async def test_a_thread_without_a_lease_is_anybodys(saver: Saver, database: Database) -> None:
    await put(saver)
    async with opened_worker(database) as other:
        await put(Saver(database.pool, other))
    assert await checkpoints(saver) == 2


async def test_a_thread_that_another_living_worker_holds_takes_neither_checkpoints_nor_writes(
    saver: Saver, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memory.saver.PATIENCE_S", 0.0)
    there = await put(saver)
    async with opened_worker(database) as other:
        await other.present()
        await lease(database, other)
        with pytest.raises(ThreadBusyError, match="is working on the thread 't'"):
            await put(saver)
        with pytest.raises(ThreadBusyError, match="is working on the thread 't'"):
            await saver.aput_writes(there, [("channel", 1)], "task")
    found = await saver.aget_tuple(THREAD)
    assert found is not None
    assert found.pending_writes == []
    assert await checkpoints(saver) == 1


async def test_a_lease_of_a_worker_that_is_gone_keeps_nobody_out(saver: Saver, database: Database) -> None:
    async with AsyncExitStack() as stack:
        other = await stack.enter_async_context(opened_worker(database))
        await other.present()
        await lease(database, other)
    await put(saver)
    assert await checkpoints(saver) == 1


async def test_who_has_given_a_thread_back_may_still_save_its_last_checkpoint(
    saver: Saver, database: Database
) -> None:
    await saver.aget_tuple(THREAD)
    note_held("t", 1)
    await lease(database, None)
    await put(saver)
    assert await checkpoints(saver) == 1


async def test_a_worker_that_lost_its_connection_is_refused_until_it_reads_the_thread_anew(
    saver: Saver, database: Database
) -> None:
    await saver.aget_tuple(THREAD)
    note_held("t", 1)
    async with opened_worker(database) as other:
        await other.present()
        cut_off = Saver(database.pool, other)
        await cut_off.aget_tuple(THREAD)
        note_held("t", other.epoch)
    async with database.pool.connection() as connection:  # until the server has noticed
        await connection.execute(f"select pg_advisory_xact_lock({LOCK_OF})", (other.id,))
    with pytest.raises(ThreadBusyError, match="has taken over the thread 't'"):
        await put(cut_off)
    await saver.aget_tuple(THREAD)
    await put(saver)
    assert await checkpoints(saver) == 1


async def test_a_worker_that_lost_its_connection_is_refused_while_another_save_of_its_finds_that_out(
    saver: Saver, database: Database
) -> None:
    async with opened_worker(database) as other:
        await other.present()
        cut_off = Saver(database.pool, other)
        await cut_off.aget_tuple(THREAD)
        note_held("t", other.epoch)
    async with database.pool.connection() as connection, connection.transaction():
        await connection.execute(f"select pg_advisory_xact_lock_shared({LOCK_OF})", (other.id,))
        with pytest.raises(ThreadBusyError, match="has taken over the thread 't'"):
            await put(cut_off)
    assert await checkpoints(saver) == 0


async def test_a_worker_that_has_its_lock_again_and_does_not_know_it_yet_saves_nothing(
    database: Database, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked, go = asyncio.Event(), asyncio.Event()
    async with opened_worker(database) as worker:
        await worker.present()
        saver, take = Saver(database.pool, worker), worker.take_lock
        await lease(database, worker)
        await saver.aget_tuple(THREAD)
        note_held("t", worker.epoch)
        await put(saver)

        async def slow(connection: Any, name: str) -> None:
            await take(connection, name)
            locked.set()
            await go.wait()

        monkeypatch.setattr(worker, "take_lock", slow)
        async with await AsyncConnection.connect(postgres_url, autocommit=True) as other:
            await other.execute(
                "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
                " where pid <> pg_backend_pid() and datname = current_database()"
            )
            await other.execute("delete from boring.thread_lease")  # taken over, worked on, given back
        await locked.wait()
        with pytest.raises(ThreadBusyError, match="taken over the thread 't'"):
            await put(saver)
        go.set()
    assert await checkpoints(saver) == 1
