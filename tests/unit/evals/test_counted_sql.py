import psycopg
import pytest

from evals.counted_sql import counted_sql


async def test_what_is_sent_and_what_is_committed_is_counted(empty_postgres_url: str) -> None:
    async with await psycopg.AsyncConnection.connect(empty_postgres_url, autocommit=True) as connection:
        with counted_sql() as counted:
            await connection.execute("create table one (n int)")
            async with connection.transaction():
                await connection.execute("insert into one values (1)")
                async with connection.transaction():
                    await connection.execute("insert into one values (2)")
            assert counted.commits == 2
            async with connection.cursor() as cursor:
                await cursor.executemany("insert into one values (%s)", [(3,), (4,)])
            assert counted.commits == 3
        await connection.execute("select 1")
    assert len(counted.statements) == 4
    assert len(counted.about("into one")) == 3
    assert counted.commits == 3


async def test_what_is_rolled_back_is_no_commit(empty_postgres_url: str) -> None:
    async with await psycopg.AsyncConnection.connect(empty_postgres_url, autocommit=True) as connection:
        with counted_sql() as counted:
            with pytest.raises(psycopg.errors.DivisionByZero):
                async with connection.transaction():
                    await connection.execute("select 1 / 0")
            async with connection.transaction(force_rollback=True):
                await connection.execute("select 1")
            with pytest.raises(psycopg.errors.SyntaxError):
                await connection.execute("no sql")
    assert (len(counted.statements), counted.commits) == (3, 0)
