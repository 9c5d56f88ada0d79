from collections.abc import Iterator

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier

from core.errors import ConfigurationError, ToolError, TransientError
from tools.contract import Tool
from tools.database_query import database_reader

ROLE = "boring_reader"


@pytest.fixture
def reader_url(empty_postgres_url: str) -> Iterator[str]:
    """A database with a shop in it, and the address of a role that may even write one of its tables."""
    with psycopg.connect(empty_postgres_url, autocommit=True) as admin:
        admin.execute("create table orders (id int primary key, article text, ordered_on date)")
        admin.execute("insert into orders values (1, 'chair', '2026-01-02'), (2, null, 'infinity')")
        admin.execute("create table salaries (amount int)")
        admin.execute("create sequence numbers")
        admin.execute(SQL("drop role if exists {}").format(Identifier(ROLE)))
        admin.execute(SQL("create role {} login password 'reads'").format(Identifier(ROLE)))
        admin.execute(SQL("grant all on orders to {}").format(Identifier(ROLE)))
        admin.execute(SQL("grant all on sequence numbers to {}").format(Identifier(ROLE)))
    yield make_conninfo(empty_postgres_url, user=ROLE, password="reads")  # noqa: S106 - of a test
    with psycopg.connect(empty_postgres_url, autocommit=True) as admin:
        admin.execute(SQL("drop owned by {}").format(Identifier(ROLE)))
        admin.execute(SQL("drop role {}").format(Identifier(ROLE)))


@pytest.fixture
def query(reader_url: str) -> Tool:
    return database_reader(url=reader_url, max_rows=3)


async def test_rows_are_text_with_the_types_of_their_columns(query: Tool) -> None:
    assert await query.run(sql="select * from orders order by id;") == (
        "id (int4) | article (text) | ordered_on (date)\n"
        "1 | chair | 2026-01-02\n"
        "2 | NULL | infinity\n"
        "[2 rows]"
    )


async def test_rows_over_the_limit_are_left_out_with_a_note(query: Tool) -> None:
    told = await query.run(sql="select * from generate_series(1, 1000000)")
    assert told.splitlines()[1:] == [
        "1",
        "2",
        "3",
        "[3 rows: only the first rows; filter, group or use LIMIT]",
    ]


NO_QUERIES = [
    "insert into orders values (3)",
    "update orders set article = 'x'",
    "delete from orders",
    "drop table orders",
    "create table x (y int)",
    "create temp table x (y int)",
    "copy orders to stdout",
    "copy (select 1) to program 'true'",
    "do $$ begin end $$",
    "set role postgres",
    "set transaction read write",
    "commit",
    "begin",
    "select 1; drop table orders",
    "select 1; commit; delete from orders",
    "select 1; rollback; begin read write; delete from orders; commit",
    "with gone as (delete from orders returning *) select * from gone",
    "select nextval('numbers')",
    "select 1 into x",
    "select * from orders for update",
    "select set_config('transaction_read_only', 'off', true)",
    "selec 1",
    "",
]


async def test_nothing_but_a_query_runs(query: Tool, reader_url: str) -> None:
    async with await psycopg.AsyncConnection.connect(reader_url, autocommit=True) as connection:
        for sql in NO_QUERIES:
            with pytest.raises(ToolError):
                await query.run(sql=sql)
            rows = await (await connection.execute("select id, article from orders order by id")).fetchall()
            assert rows == [(1, "chair"), (2, None)], sql


async def test_what_the_role_may_not_see_stays_unseen(query: Tool) -> None:
    for sql in ("select * from salaries", "select pg_read_file('/etc/passwd')"):
        with pytest.raises(ToolError, match="permission denied"):
            await query.run(sql=sql)


async def test_a_role_that_could_do_more_is_refused(empty_postgres_url: str) -> None:
    with pytest.raises(ConfigurationError, match="could do more than read"):
        await database_reader(url=empty_postgres_url).run(sql="select 1")


@pytest.mark.parametrize("power", ["pg_read_server_files", "pg_execute_server_program"])
async def test_a_role_that_got_a_power_from_another_is_refused(
    reader_url: str, empty_postgres_url: str, power: str
) -> None:
    with psycopg.connect(empty_postgres_url, autocommit=True) as admin:
        admin.execute(SQL("grant {} to {}").format(Identifier(power), Identifier(ROLE)))
    with pytest.raises(ConfigurationError, match=ROLE):
        await database_reader(url=reader_url).run(sql="select 1")


async def test_an_unknown_table_or_column_is_told_with_what_there_is(query: Tool) -> None:
    with pytest.raises(ToolError, match=r"The tables are: public\.orders\."):
        await query.run(sql="select * from order_items")
    with pytest.raises(ToolError, match=r"public\.orders: id integer, article text, ordered_on date"):
        await query.run(sql="select price from orders")


async def test_a_query_that_takes_too_long_is_ended_whatever_it_sets(reader_url: str) -> None:
    query = database_reader(url=reader_url, time_s=1)
    with pytest.raises(ToolError, match="took more than 1 s"):
        await query.run(sql="select set_config('statement_timeout', '0', false), pg_sleep(60)")


async def test_a_percent_sign_is_only_a_percent_sign(query: Tool) -> None:
    assert "chair" in await query.run(
        sql="select article from orders where article like '%air%s'||'' or id = 1"
    )


async def test_a_database_that_is_not_there_is_transient(unused_tcp_port: int) -> None:
    query = database_reader(url=f"postgresql://u:hunter22@127.0.0.1:{unused_tcp_port}/d")
    with pytest.raises(TransientError, match="can't be reached") as error:
        await query.run(sql="select 1")
    assert "hunter22" not in str(error.value)
