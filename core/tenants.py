"""Transactions in which Postgres shows and takes the rows of one tenant only, by row-level security."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import lru_cache
from typing import LiteralString

from psycopg import AsyncClientCursor, AsyncConnection, sql
from psycopg.errors import InsufficientPrivilege
from psycopg.rows import DictRow

from core.database import Database, literal
from core.errors import DatabaseError
from core.migrations.names import APPLICATION_ROLE

Connection = AsyncConnection[DictRow]
Question = tuple[bytes, Sequence[object]]
"""A statement and its values, which stand in it as `%s`."""
_BECOME: LiteralString = "select boring.become(%s, %s, %s)"


@asynccontextmanager
async def as_tenant(database: Database, tenant: str, *, reading: bool = False) -> AsyncGenerator[Connection]:
    """Yield a connection in a transaction that sees and writes the rows of `tenant` only.

    A user that row-level security would not bind becomes the application role until the transaction ends.

    Args:
        database: the process's.
        tenant: whose rows.
        reading: nothing is written but that something was read. Nobody waits for that to be on the disk; a
            machine that fails may lose the last half second of it.

    Raises:
        DatabaseError: the user of the database may not become that role.
    """
    async with as_tenant_asking(database, tenant, None, reading=reading) as (connection, _):
        yield connection


@asynccontextmanager
async def as_tenant_asking(
    database: Database, tenant: str, question: Question | None, *, reading: bool
) -> AsyncGenerator[tuple[Connection, DictRow | None]]:
    """Do as `as_tenant`, with a first question that travels in the same message; yield its first row, too.

    Each message that is spared saves a search by indexes a tenth of its time. What the question asks is
    planned at each time, so that it had better be a function.

    Raises:
        DatabaseError: see `as_tenant`.
    """
    statement, values = question or (b"", ())
    message = b"; ".join((b"begin", _becoming(tenant, reading=reading), statement))
    async with database.pool.connection() as connection:  # which ends the transaction, too
        cursor = AsyncClientCursor(connection)
        with _refusal_told():
            await cursor.execute(message, values, prepare=False)
        row = None
        if question is not None and cursor.nextset() and cursor.nextset():
            row = await cursor.fetchone()
        yield connection, row


async def transacted(
    connection: Connection, tenant: str, questions: Sequence[Question], *, reading: bool
) -> list[list[DictRow]]:
    """Ask questions in a transaction as `as_tenant` makes it, all of it in one message; return their rows.

    What travels in one message is a transaction without being told so; telling it takes a twentieth of the
    time of a search.

    Raises:
        DatabaseError: see `as_tenant`.
    """
    message = b"; ".join((_becoming(tenant, reading=reading), *(statement for statement, _ in questions)))
    cursor = AsyncClientCursor(connection)
    with _refusal_told():
        await cursor.execute(message, [value for _, values in questions for value in values], prepare=False)
    rows: list[list[DictRow]] = []
    for _ in questions:
        cursor.nextset()
        rows.append(await cursor.fetchall() if cursor.rowcount > 0 else [])
    return rows


async def become(connection: Connection, tenant: str) -> None:
    """Bind what follows in an open transaction to a tenant, as `as_tenant` binds a whole one.

    Raises:
        DatabaseError: see `as_tenant`.
    """
    with _refusal_told():
        await connection.execute(_BECOME, (tenant, APPLICATION_ROLE, False))


@lru_cache(maxsize=1000)
def _becoming(tenant: str, *, reading: bool) -> bytes:
    """Return what binds a transaction to a tenant, written out: that takes longer than to ask it."""
    values = literal(tenant), sql.Literal(APPLICATION_ROLE), sql.Literal(reading)
    return (_BECOME % tuple(value.as_string() for value in values)).encode()


@contextmanager
def _refusal_told() -> Generator[None]:
    try:
        yield
    except InsufficientPrivilege as error:
        if "boring.become(" not in (error.diag.context or ""):
            raise
        raise DatabaseError(
            "The user in DATABASE_URL passes over row-level security and may not become the role"
            f" {APPLICATION_ROLE}: {error}. Let an administrator run `grant {APPLICATION_ROLE} to <user>`."
        ) from error
