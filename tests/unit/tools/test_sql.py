import asyncio
import os
from pathlib import Path

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ConfigurationError, ToolError
from tools.contract import Tool
from tools.query_process import tables_of
from tools.sql import data_tools
from tools.statements import tables_read
from tools.text_table import text_table

SECRET = "xyzzy-plugh"  # noqa: S105 - what must not be seen


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    (root / "2026").mkdir(parents=True)
    (root / "sales.csv").write_text(
        "name,total,day\nann,3,2026-01-02\nbob,4.5,2026-01-03\nann,1,2026-01-04\n"
    )
    (root / "2026" / "Events-EU.jsonl").write_text('{"id": 1, "tags": ["a"]}\n{"id": 2, "tags": []}\n')
    people = f"copy (select 'ann' as name, 'Berlin' as city) to '{root}/people.parquet'"
    duckdb.connect(":memory:").execute(people)
    (tmp_path / "outside.csv").write_text(f"secret\n{SECRET}\n")
    return root


@pytest.fixture
def query(root: Path) -> Tool:
    return data_tools(root=root, max_rows=5, memory_mb=128, time_s=20)[0]


async def test_files_of_all_kinds_are_tables_that_can_be_joined(query: Tool) -> None:
    assert await query.run(
        sql="select name, city, sum(total) as total from sales join people using (name)"
        ' where exists (from "2026_events_eu" where id = 2) group by all'
    ) == ("name (VARCHAR) | city (VARCHAR) | total (DOUBLE)\nann | Berlin | 4.0\n[1 row]")


async def test_the_tables_are_listed_with_columns_and_types(root: Path) -> None:
    listed = await data_tools(root=root)[1].run()
    assert listed.splitlines() == [
        "table | columns",
        "2026_events_eu | id BIGINT, tags VARCHAR[]",
        "people | name VARCHAR, city VARCHAR",
        "sales | name VARCHAR, total DOUBLE, day DATE",
        "[3 rows]",
    ]


async def test_rows_over_the_limit_are_left_out_with_a_note(query: Tool) -> None:
    told = await query.run(sql="from range(6)")
    assert told.splitlines()[1:] == [*"01234", "[5 rows: only the first rows; filter, group or use LIMIT]"]
    assert (await query.run(sql="from range(5)")).endswith("4\n[5 rows]")


async def test_an_unknown_table_or_column_is_told_with_what_there_is(query: Tool) -> None:
    with pytest.raises(ToolError, match=r"The tables are: 2026_events_eu, people, sales\."):
        await query.run(sql="from orders")
    with pytest.raises(ToolError, match="sales: name VARCHAR, total DOUBLE, day DATE"):
        await query.run(sql="select price from sales")


@pytest.mark.parametrize(
    "sql",
    [
        "from '{outside}'",
        "from read_csv('{outside}')",
        "from read_csv('{root}/../outside.csv')",
        "from read_csv('{root}/*.csv')",
        "from read_csv('{root}/link.csv')",
        "from link",
        "from read_text('/etc/passwd')",
        "from read_blob('/proc/self/environ')",
        "from glob('/etc/*')",
        "from sniff_csv('{outside}')",
        "from parquet_metadata('{root}/people.parquet')",
        "from query('copy (select 1) to ''{root}/x.csv''')",
        "from 'https://example.test/a.csv'",
        "from duckdb_secrets()",
    ],
)
async def test_nothing_but_the_tables_is_read(query: Tool, root: Path, sql: str) -> None:
    outside = root.parent / "outside.csv"
    (root / "link.csv").symlink_to(outside)
    with pytest.raises(ToolError) as error:
        await query.run(sql=sql.format(root=root, outside=outside))
    assert SECRET not in str(error.value)


@pytest.mark.parametrize(
    "sql",
    [
        "copy sales to '/tmp/x.csv'",
        "attach '/tmp/x.db'",
        "install httpfs",
        "load httpfs",
        "pragma version",
        "set memory_limit = '9GB'",
        "reset memory_limit",
        "create table x as select 1",
        "create temp view x as select 1",
        "drop view sales",
        "insert into sales values (1)",
        "call pragma_version()",
        "export database '/tmp/x'",
        "begin",
        "explain analyze select 1",
        "with x as (insert into sales values ('a', 1, null) returning *) from x",
        "with x as (delete from sales returning *) from x",
        "select 1; select 2",
        "select 1; copy sales to '/tmp/x.csv'",
        "selec 1",
        "--",
    ],
)
def test_only_one_statement_that_reads_is_taken(sql: str) -> None:
    with pytest.raises(ToolError, match="Only one SELECT"):
        tables_read(duckdb.connect(":memory:"), sql)


def test_the_tables_of_a_statement_are_found_wherever_they_stand() -> None:
    sql = (
        'with a as (from B) select (select 1 from "c d") from a, e union from (from f.g) where 1 in (from h)'
    )
    assert tables_read(duckdb.connect(":memory:"), sql) == {"a", "b", "c d", "e", "g", "h"}


@pytest.mark.parametrize(
    "sql",
    [
        "select length(repeat('x', 4000000000))",
        "select length(list(range)) from range(1000000000)",
        "with recursive t as (select 'xx' a union all select a || a from t) select max(length(a)) from t",
    ],
)
async def test_a_query_that_needs_too_much_memory_ends_alone(query: Tool, sql: str) -> None:
    with pytest.raises(ToolError, match=r"more memory than|more than 128 MiB"):
        await query.run(sql=sql)


ENDLESS = "select sum(a.range * b.range) from range(10000000) a, range(10000000) b"


async def test_a_query_that_takes_too_long_is_ended(root: Path) -> None:
    query, _ = data_tools(root=root, time_s=1)
    with pytest.raises(ToolError, match="took more than 1 s"):
        await query.run(sql=ENDLESS)


async def test_a_query_that_is_cancelled_leaves_no_process(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: asyncio.Queue[asyncio.subprocess.Process] = asyncio.Queue()
    start = asyncio.create_subprocess_exec

    async def noted(*command: str, **options: object) -> asyncio.subprocess.Process:
        process = await start(*command, **options)  # pyright: ignore[reportArgumentType]
        started.put_nowait(process)
        return process

    monkeypatch.setattr(asyncio, "create_subprocess_exec", noted)
    running = asyncio.create_task(data_tools(root=root)[0].run(sql=ENDLESS))  # pyright: ignore[reportArgumentType]
    process = await started.get()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert process.returncode == -9


def test_two_files_of_one_name_are_told_apart_and_others_left_out(tmp_path: Path) -> None:
    for name in ("a.csv", "a.json", "b*.csv", ".hidden.csv", "c.txt", "it's.csv"):
        (tmp_path / name).write_text("x\n1\n")
    (tmp_path / "link.csv").symlink_to(tmp_path / "a.csv")
    os.mkfifo(tmp_path / "pipe.csv")
    assert tables_of(str(tmp_path)) == {
        "a_csv": f"{tmp_path}/a.csv",
        "a_json": f"{tmp_path}/a.json",
        "it_s": f"{tmp_path}/it's.csv",
    }


async def test_a_file_with_a_quote_in_its_name_is_read(tmp_path: Path) -> None:
    (tmp_path / "it's.csv").write_text("x\n7\n")
    assert "7" in await data_tools(root=tmp_path)[0].run(sql="from it_s")


async def test_a_file_that_can_not_be_read_is_named_without_its_folder(tmp_path: Path) -> None:
    (tmp_path / "broken.parquet").write_text("not parquet")
    with pytest.raises(ToolError, match="table broken can't be read") as error:
        await data_tools(root=tmp_path)[0].run(sql="from broken")
    assert str(tmp_path) not in str(error.value)


async def test_values_of_every_kind_are_text(query: Tool) -> None:
    told = await query.run(
        sql="select null, 'a|b\nc', {'k': [1]}, '\\xC3'::blob, 0.1::decimal(9, 2), repeat('x', 999)"
    )
    assert told.splitlines()[1] == f"NULL | a\\|b\\nc | {{'k': [1]}} | c3 | 0.10 | {'x' * 300}..."


@given(st.lists(st.lists(st.text(max_size=5), min_size=2, max_size=2), max_size=4))
def test_a_table_has_a_line_for_each_row_whatever_is_in_it(rows: list[list[str]]) -> None:
    lines = text_table(["a", "b"], rows).split("\n")
    assert len(lines) == len(rows) + 2
    assert lines[-1].startswith(f"[{len(rows)} row")


def test_without_a_folder_there_is_no_tool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BORING_QUERY_DIR", raising=False)
    with pytest.raises(ConfigurationError, match="BORING_QUERY_DIR"):
        data_tools()


async def test_a_folder_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="Tell the operator"):
        await data_tools(root=tmp_path / "gone")[0].run(sql="select 1")


@pytest.mark.parametrize(
    "sql", ["select * from query('select * from sales')", "select * from query_table('sales')"]
)
async def test_a_table_that_is_named_in_a_text_is_refused_with_what_to_write(query: Tool, sql: str) -> None:
    with pytest.raises(ToolError, match=r"query(_table)?\(\) is not allowed: name the table itself"):
        await query.run(sql=sql)
