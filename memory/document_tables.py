"""The tables of passages, one for each embedding model: made, written and emptied."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, LiteralString

from psycopg import sql

from core.database import Database
from core.migrations import setup_lock
from core.tenants import Connection

SCHEMA: Final = "boring"
_LONGEST_NAME: Final = 50
_CREATE: LiteralString = """
create table {table} (
    langchain_id uuid primary key,
    content text not null,
    embedding vector({size}) not null,
    tenant text not null,
    source text not null,
    section text not null,
    words tsvector generated always as (to_tsvector('english', content)) stored
)
"""
"""The columns that LangChain's `PGVectorStore` expects, with our metadata and the words."""
_DIMENSIONS: LiteralString = """
select atttypmod as dimensions from pg_attribute
where attrelid = to_regclass(%s) and attname = 'embedding' and not attisdropped
"""


@dataclass(frozen=True, slots=True)
class Passage:
    """A passage as it is stored.

    Attributes:
        id: the same in every table.
        section: the headings it stands under, or its page.
        content: what is searched and shown, with the section.
    """

    id: uuid.UUID
    section: str
    content: str


@dataclass(frozen=True, slots=True)
class Version:
    """The passages of a document in one table: what `boring.document` holds of them."""

    table: str
    model: str | None
    content_hash: str
    passages: Sequence[Passage]


def table_of(model: str) -> str:
    """Return the name of a model's table; what stands before texts is told apart by a hash."""
    name = re.sub(r"[^a-z0-9]+", "_", model.lower())[:_LONGEST_NAME]
    if "?" in model:
        name = name[: _LONGEST_NAME - 9] + "_" + hashlib.blake2b(model.encode(), digest_size=4).hexdigest()
    return f"chunk_{name}"


def identifier(table: str) -> sql.Identifier:
    """Return a table of passages as it stands in a statement."""
    return sql.Identifier(SCHEMA, table)


async def dimensions_of(connection: Connection, table: str) -> int | None:
    """Return how many numbers a vector of the table has; None if there is no such table."""
    rows = await connection.execute(_DIMENSIONS, (f"{SCHEMA}.{table}",))
    row = await rows.fetchone()
    return None if row is None else int(row["dimensions"])


async def fit_table(database: Database, connection: Connection, table: str, size: int) -> None:
    """Have a model's table take vectors of a size.

    One of another size is set apart under another name: the model makes other vectors than it did, so that
    the old ones are no longer its own. Until they are made anew, documents are searched by words.

    Args:
        database: where.
        connection: to it, in no transaction.
        table: its name.
        size: how many numbers each vector has.
    """
    if await dimensions_of(connection, table) == size:
        return
    async with setup_lock(database.url), connection.transaction():
        held = await dimensions_of(connection, table)
        if held != size:
            if held is not None:
                await _set_apart(connection, table, held)
            await _create(connection, table, size)


async def _set_apart(connection: Connection, table: str, size: int) -> None:
    # Writers take rows of `boring.document` before they take passages: none is in the middle from here on.
    await connection.execute("lock table boring.document in exclusive mode")
    name = f"{table}_{size}"
    while await dimensions_of(connection, name) is not None:
        name += "_"
    await connection.execute(
        sql.SQL("alter table {} rename to {}").format(identifier(table), sql.Identifier(name))
    )
    await connection.execute(
        "update boring.document set chunk_table = %s, embedding_model = null where chunk_table = %s",
        (name, table),
    )


async def _create(connection: Connection, table: str, size: int) -> None:
    name = identifier(table)
    await connection.execute(sql.SQL(_CREATE).format(table=name, size=sql.Literal(size)))
    await connection.execute(sql.SQL("create index on {} (tenant, source)").format(name))


async def passages_in(connection: Connection, table: str, tenant: str, source: str) -> list[Passage]:
    """Return the passages of a document."""
    rows = await connection.execute(
        sql.SQL("select langchain_id, section, content from {} where tenant = %s and source = %s").format(
            identifier(table)
        ),
        (tenant, source),
    )
    return [Passage(row["langchain_id"], row["section"], row["content"]) for row in await rows.fetchall()]


async def hold_rows(connection: Connection, tenant: str, source: str) -> None:
    """Keep others from changing what is on record of a document until the transaction ends.

    All who change several rows take them in this order, so that none waits for one who waits for it.
    """
    await connection.execute(
        "select from boring.document where tenant = %s and source = %s order by chunk_table for update",
        (tenant, source),
    )


async def delete_document(connection: Connection, tables: Iterable[str], tenant: str, source: str) -> None:
    """Delete a document from some tables, in an open transaction that holds its rows."""
    for table in tables:
        await connection.execute(
            "delete from boring.document where tenant = %s and source = %s and chunk_table = %s",
            (tenant, source, table),
        )
        await connection.execute(
            sql.SQL("delete from {} where tenant = %s and source = %s").format(identifier(table)),
            (tenant, source),
        )
