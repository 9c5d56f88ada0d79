"""The one database of a process: found or started, checked, brought to the current schema, pooled."""

import asyncio
import select
import sys
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, LiteralString, cast
from uuid import uuid4

from psycopg import AsyncConnection, sql
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

from core.database_check import check_database
from core.errors import DatabaseError
from core.migrations import apply_migrations
from core.settings import Settings

Pool = AsyncConnectionPool[AsyncConnection[DictRow]]

_POOL_TIMEOUT_S = 10.0
_SETTLING_S = 10.0
_RETRY_S = 0.1


@dataclass(frozen=True, slots=True)
class Database:
    """An open database.

    Attributes:
        url: its address as libpq reads it, password included.
        pool: its connections: autocommit, rows as dicts, statements prepared at once.
        embedded: whether it is the embedded Postgres.
        client: what the names of its connections at the server begin with.
    """

    url: str = field(repr=False)
    pool: Pool
    embedded: bool
    client: str = ""


@asynccontextmanager
async def opened_database(settings: Settings) -> AsyncGenerator[Database]:
    """Open the database that `DATABASE_URL` names, or the embedded one, at the current schema.

    Raises:
        DatabaseError: it can't be had within seconds, or lacks something; the message says what to do.
    """
    async with AsyncExitStack() as stack:
        given = settings.database_url
        url = (
            await stack.enter_async_context(_embedded(settings))
            if given is None
            else given.get_secret_value()
        )
        await (check_database(url) if given is not None else _settled(url))
        await apply_migrations(url)
        client = f"boring {uuid4().hex[:12]}"
        named = conninfo_to_dict(url).get("application_name")
        pool = Pool(
            url,
            open=False,
            min_size=1,
            max_size=settings.database_pool_size,
            timeout=_POOL_TIMEOUT_S,
            check=_check_connection,
            kwargs=_connection_options(f"{client} ({named})" if named else client),
        )
        await stack.enter_async_context(pool)
        yield Database(url, pool, embedded=given is None, client=client)


async def _settled(url: str) -> None:
    """Check the embedded server; one that was killed just now is started again by its watchdog meanwhile."""
    deadline = asyncio.get_running_loop().time() + _SETTLING_S
    while True:
        try:
            return await check_database(url)
        except DatabaseError:
            if asyncio.get_running_loop().time() > deadline:
                raise
        await asyncio.sleep(_RETRY_S)


@asynccontextmanager
async def _embedded(settings: Settings) -> AsyncGenerator[str]:
    if sys.platform == "win32":
        raise DatabaseError(
            "The embedded Postgres needs Linux or macOS. Use WSL, or set DATABASE_URL to a Postgres with"
            " pgvector."
        )
    from core.embedded.postgres import EmbeddedPostgres  # noqa: PLC0415 - its file locks don't exist on Windows

    async with EmbeddedPostgres(settings.data_dir / "postgres") as url:
        yield url


async def _check_connection(connection: AsyncConnection[DictRow]) -> None:
    """Let the pool replace a connection that its server has dropped, before anybody gets it.

    A server that goes away sends something unasked, the end of the stream at least. As long as nothing
    has come in, the round trip of a real check (0.2 ms) is spared.
    """
    if sys.platform != "win32":
        arrived = select.poll()
        arrived.register(connection.fileno(), select.POLLIN)
        if not arrived.poll(0):
            return
    await Pool.check_connection(connection)


def _connection_options(name: str) -> dict[str, Any]:
    # What LangGraph's saver and store expect of a connection, and by which name others know whose it is.
    options = {"autocommit": True, "row_factory": dict_row, "prepare_threshold": 0}
    return {**options, "application_name": name}


def literal(value: str | list[str]) -> sql.Composable:
    """Return a text, or an array of texts, as it stands in a statement whose parameters are marked by `%`."""
    return sql.SQL(cast("LiteralString", sql.Literal(value).as_string().replace("%", "%%")))
