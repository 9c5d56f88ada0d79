"""Bring a database to the schema that this code expects."""

import asyncio

from psycopg import AsyncConnection
from psycopg.errors import InsufficientPrivilege, InvalidSchemaName, UndefinedTable

from core.errors import DatabaseError
from core.migrations.lock import setup_lock
from core.migrations.names import HEAD, SCHEMA


async def apply_migrations(url: str) -> None:
    """Apply the steps that the database lacks; concurrent callers wait for the first.

    Raises:
        DatabaseError: the schema is newer than this code, or the database refuses to change.
    """
    async with await AsyncConnection.connect(url, autocommit=True) as connection:
        if await _revision(connection) == HEAD:
            return
        async with setup_lock(url):
            found = await _revision(connection)
            if found != HEAD:
                await asyncio.to_thread(_upgrade, url, found)


async def _revision(connection: AsyncConnection) -> str | None:
    try:
        cursor = await connection.execute("select version_num from boring.alembic_version")
    except (UndefinedTable, InvalidSchemaName):
        return None
    except InsufficientPrivilege as error:
        raise DatabaseError(
            f"The user in DATABASE_URL may not read the schema `{SCHEMA}`: {error}. Let its owner run"
            f" `grant usage on schema {SCHEMA} to <user>; grant all on all tables in schema {SCHEMA} to"
            " <user>`, or put the owner's name into DATABASE_URL."
        ) from error
    row = await cursor.fetchone()
    return None if row is None else str(row[0])


def _upgrade(url: str, found: str | None) -> None:
    from core.migrations.upgrade import known_revisions, upgrade  # noqa: PLC0415 - see HEAD

    if found is not None and found not in known_revisions():
        raise DatabaseError(
            f"The database's schema is at revision {found}, and this code knows none beyond {HEAD}: a newer"
            " version of the project has used it. Run that version, or set DATABASE_URL to another database."
        )
    upgrade(url)
