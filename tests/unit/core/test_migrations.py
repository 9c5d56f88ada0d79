import asyncio
import subprocess
import sys

import psycopg
import pytest

from core.errors import DatabaseError
from core.migrations import HEAD, apply_migrations, setup_lock
from core.migrations.upgrade import head_revision


def test_the_constant_is_the_newest_step() -> None:
    assert head_revision() == HEAD


async def test_an_empty_database_gets_the_schema(empty_postgres_url: str) -> None:
    await apply_migrations(empty_postgres_url)
    async with await psycopg.AsyncConnection.connect(empty_postgres_url) as connection:
        cursor = await connection.execute(
            "select table_name from information_schema.tables where table_schema = 'boring' order by 1"
        )
        assert {"alembic_version", "run", "tool_call"} <= {row[0] for row in await cursor.fetchall()}
        cursor = await connection.execute("select version_num from boring.alembic_version")
        assert await cursor.fetchall() == [(HEAD,)]


async def test_concurrent_starts_migrate_once(empty_postgres_url: str) -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(8):
            group.create_task(apply_migrations(empty_postgres_url))


def test_a_start_with_nothing_to_do_does_not_import_alembic(postgres_url: str) -> None:
    code = (
        "import asyncio, sys; from core.migrations import apply_migrations;"
        " asyncio.run(apply_migrations(sys.argv[1])); assert 'alembic' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, postgres_url], check=True)


async def test_a_newer_schema_is_refused(postgres_url: str) -> None:
    async with await psycopg.AsyncConnection.connect(postgres_url) as connection:
        await connection.execute("update boring.alembic_version set version_num = '9999'")
    with pytest.raises(DatabaseError, match=r"revision 9999.*newer version"):
        await apply_migrations(postgres_url)


async def test_the_holder_of_the_setup_lock_can_build_an_index_concurrently(postgres_url: str) -> None:
    async with setup_lock(postgres_url), asyncio.TaskGroup() as group:
        waiting = group.create_task(_take_the_lock(postgres_url))
        async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as connection:
            async with asyncio.timeout(20):
                await connection.execute("create index concurrently on boring.run (graph)")
        assert not waiting.done()
        waiting.cancel()


async def _take_the_lock(url: str) -> None:
    async with setup_lock(url):
        pass
