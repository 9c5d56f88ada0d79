"""The tool that queries a Postgres by SQL and can change nothing in it.

The statement becomes a cursor within a read-only transaction, so Postgres's own parser refuses all that is no
query. What a query could still do through functions, such as read a file of the server, depends on its role:
a role that could is refused.
"""

from typing import Annotated

import psycopg
from psycopg import AsyncConnection
from psycopg.errors import QueryCanceled, UndefinedColumn, UndefinedTable
from psycopg.rows import TupleRow
from psycopg.sql import SQL, Literal
from pydantic import Field, SecretStr

from core.errors import ConfigurationError, ToolError, TransientError
from core.settings import settings
from tools.contract import Tool, contract
from tools.text_table import text_table

MAX_ROWS = 100
TIME_S = 20
MAX_TABLES = 200
MAX_CELL_CHARS = 300
_CONNECT_S = 10

_COULD_DO_MORE = """
    select rolname from pg_roles
    where rolname = session_user and (rolsuper or rolreplication or exists (
        select from pg_roles as power
        where power.rolname in ('pg_execute_server_program', 'pg_read_server_files',
                                'pg_write_server_files', 'pg_signal_backend')
          and pg_has_role(session_user, power.oid, 'member')))
"""
_TABLES = """
    select table_schema || '.' || table_name,
           string_agg(column_name || ' ' || data_type, ', ' order by ordinal_position)
    from information_schema.columns
    where table_schema not in ('pg_catalog', 'information_schema')
    group by table_schema, table_name order by table_schema, table_name limit %s
"""

Connection = AsyncConnection[TupleRow]
Sql = Annotated[str, Field(min_length=1, max_length=8000, description="one SELECT, as for Postgres")]


def database_reader(*, url: str | None = None, max_rows: int = MAX_ROWS, time_s: int = TIME_S) -> Tool:
    """Return the tool `query_database`.

    Args:
        url: the Postgres, under a role that may only read what the model may see. Unset,
            `BORING_QUERY_DATABASE_URL`. Never our own database by default.
        max_rows: most rows of a result; of further ones a note tells.
        time_s: most seconds of a query.

    Raises:
        ConfigurationError: no database is named.
    """
    given = settings().query_database_url if url is None else SecretStr(url)
    if given is None:
        raise ConfigurationError("query_database needs a Postgres: set BORING_QUERY_DATABASE_URL.")

    async def query_database(sql: Sql) -> str:
        """Query the database by SQL: counts, sums, filters, joins. It can only be read."""
        return await _queried(given, sql, max_rows=max_rows, time_s=time_s)

    return contract(
        query_database,
        effect="read",
        timeout_s=time_s + _CONNECT_S,
        max_concurrency=4,
        rest="Select less, or use LIMIT and OFFSET.",
    )


async def _queried(url: SecretStr, sql: str, *, max_rows: int, time_s: int) -> str:
    async with await _connected(url) as connection:
        await connection.set_read_only(True)
        await _check_role(connection)
        try:
            return await _rows(connection, sql, max_rows=max_rows, time_s=time_s)
        except QueryCanceled as error:
            raise ToolError(f"The query took more than {time_s} s. Filter first, or join less.") from error
        except psycopg.OperationalError as error:
            raise TransientError(f"The database stopped the query: {error}") from error
        except psycopg.Error as error:
            await connection.rollback()
            raise ToolError(f"{error}\n{await _hint(connection, error, sql)}".rstrip()) from error


async def _connected(url: SecretStr) -> Connection:
    try:
        return await AsyncConnection.connect(url.get_secret_value(), connect_timeout=_CONNECT_S)
    except psycopg.OperationalError as error:
        raise TransientError(f"The database of query_database can't be reached: {error}") from error


async def _check_role(connection: Connection) -> None:
    found = await (await connection.execute(_COULD_DO_MORE)).fetchone()
    if found:
        raise ConfigurationError(
            f"The role {found[0]!r} of BORING_QUERY_DATABASE_URL could do more than read tables: read files, "
            "run programs or stop others. Name a role that is no superuser and has only SELECT."
        )


async def _rows(connection: Connection, sql: str, *, max_rows: int, time_s: int) -> str:
    await connection.execute(SQL("set local statement_timeout = {}").format(Literal(f"{time_s}s")))
    # Prepared, so that the server takes it for one statement or refuses it.
    await connection.execute(
        b"declare result no scroll cursor for " + sql.encode(errors="replace"), prepare=True
    )
    cursor = await connection.execute(SQL("fetch forward {} from result").format(Literal(max_rows + 1)))
    result = cursor.pgresult
    if result is None:
        raise ToolError("The query gave no result.")
    # As the server writes it: Python knows no infinite date, and fewer types.
    rows = [
        [_cell(result.get_value(row, column)) for column in range(result.nfields)]
        for row in range(min(result.ntuples, max_rows))
    ]
    columns = [f"{column.name} ({column.type_display})" for column in cursor.description or []]
    note = "only the first rows; filter, group or use LIMIT" if result.ntuples > max_rows else ""
    return text_table(columns, rows, note=note)


async def _hint(connection: Connection, error: psycopg.Error, sql: str) -> str:
    if not isinstance(error, (UndefinedTable, UndefinedColumn)):
        return "Only one SELECT can be run." if isinstance(error, psycopg.errors.SyntaxError) else ""
    tables: list[TupleRow] = await (await connection.execute(_TABLES, [MAX_TABLES])).fetchall()
    if isinstance(error, UndefinedTable):
        return f"The tables are: {', '.join(name for name, _ in tables) or 'none'}."
    asked = sql.lower()
    return "\n".join(f"{name}: {columns}" for name, columns in tables if name.split(".")[1].lower() in asked)


def _cell(value: bytes | None) -> str:
    if value is None:
        return "NULL"
    text = value.decode(errors="replace")
    return text if len(text) <= MAX_CELL_CHARS else f"{text[:MAX_CELL_CHARS]}..."
