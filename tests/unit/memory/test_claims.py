"""Who works on a thread."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr

from core.database import Database
from core.process import current_process, opened_process
from core.settings import Settings
from core.worker import current_worker
from memory.claims import Claims


@dataclass
class Held:
    """A pool that lets the next to come wait."""

    pool: Any
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    came: asyncio.Event = field(default_factory=asyncio.Event)
    is_next: bool = False

    @asynccontextmanager
    async def connection(self) -> AsyncGenerator[Any]:
        if self.is_next:
            self.is_next = False
            self.came.set()
            await self.gate.wait()
        async with self.pool.connection() as connection:
            yield connection


@pytest.fixture
async def pool(postgres_url: str) -> AsyncIterator[Held]:
    async with opened_process(Settings(database_url=SecretStr(postgres_url))):
        yield Held((await (await current_process()).database()).pool)


async def test_a_thread_that_is_being_given_back_is_taken_after_that(pool: Held, postgres_url: str) -> None:
    held: Any = pool
    claims = Claims(Database(postgres_url, held, embedded=False), await current_worker())
    entered, left = asyncio.Event(), asyncio.Event()

    async def first() -> None:
        async with claims.working("t", "one") as claim:
            claim.ending = pool.is_next = True
        left.set()

    async def second() -> int:
        async with claims.working("t", "two"):
            entered.set()
            await left.wait()
            return await holders(postgres_url)

    async with asyncio.TaskGroup() as group:
        group.create_task(first())
        await pool.came.wait()
        counting = group.create_task(second())
        with suppress(TimeoutError):
            await asyncio.wait_for(entered.wait(), 0.3)  # who does not wait has taken it by then
        pool.gate.set()
    assert counting.result() == 1
    await claims.close()


async def holders(url: str) -> int:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        rows = await connection.execute("select count(*) from boring.thread_lease where thread_id = 't'")
        row = await rows.fetchone()
        return 0 if row is None else int(row[0])


async def test_a_release_whose_caller_is_cancelled_or_cut_off_is_made_good(
    pool: Held, postgres_url: str
) -> None:
    held: Any = pool
    claims = Claims(Database(postgres_url, held, embedded=False), await current_worker())
    connect = psycopg.AsyncConnection.connect
    for is_cut_off in (False, True):
        async with await connect(postgres_url, application_name="sharing") as sharing:

            async def step(sharing: Any = sharing) -> None:
                async with claims.working("t", object()) as claim:
                    await sharing.execute("select from boring.thread_lease for share")
                    claim.ending = pool.is_next = True
                    pool.gate.set()

            working = asyncio.create_task(step())
            await pool.came.wait()
            pool.came.clear()
            if is_cut_off:
                async with await connect(postgres_url, autocommit=True) as other:
                    await other.execute(
                        "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname ="
                        " current_database() and query ~ '^delete from boring.thread_lease'"
                        " and pid <> pg_backend_pid()"
                    )
            else:
                working.cancel()
                await asyncio.wait([working])
            await sharing.rollback()
        await asyncio.wait([working])
        async with asyncio.timeout(20):
            while await holders(postgres_url):
                pass
    await claims.close()
