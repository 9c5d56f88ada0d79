"""What a process owns while it closes."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from pydantic import SecretStr

from core.process import Process, current_process, opened_process
from core.settings import Settings


async def test_what_finishes_while_a_process_closes_works_on_in_it(postgres_url: str, tmp_path: Path) -> None:
    seen: list[Process] = []
    closed: list[str] = []

    @asynccontextmanager
    async def late() -> AsyncGenerator[str]:
        yield "late"
        closed.append("late")

    @asynccontextmanager
    async def working() -> AsyncGenerator[None]:
        database = await (await current_process()).database()
        yield
        seen.append(await current_process())
        assert await seen[0].database() is database
        async with database.pool.connection() as connection:
            await connection.execute("select 1")
        assert await seen[0].once("late", late) == "late"

    settings = Settings(database_url=SecretStr(postgres_url), data_dir=tmp_path, cache_dir=tmp_path)
    async with opened_process(settings) as outer:
        async with opened_process(settings) as inner:
            await inner.once("working", working)
        assert (seen, closed) == ([inner], ["late"])
        assert await current_process() is outer


async def test_what_is_still_being_opened_when_a_process_closes_is_given_up() -> None:
    async with opened_process(Settings()) as process:

        @asynccontextmanager
        async def never() -> AsyncGenerator[None]:
            await asyncio.Event().wait()
            yield

        @asynccontextmanager
        async def working() -> AsyncGenerator[None]:
            yield
            process.begin("begun while it closes", never)

        await process.once("working", working)
        opening = process.begin("never", never)
    assert opening.cancelled()
    assert [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("open ")] == []
