"""Changes to a tenant's documents, each at once in all tables, so that what is searched is never stale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, LiteralString, Protocol

from psycopg import sql

from core.database import Database
from core.tenants import Connection
from memory.document_locks import document_lock
from memory.document_models import DOCUMENTS, served, tables_of
from memory.document_tables import (
    Passage,
    Version,
    delete_document,
    dimensions_of,
    fit_table,
    hold_rows,
    identifier,
)
from memory.document_vectors import insert_document
from memory.other_models import embedded_by

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings

Vectors = Sequence[Sequence[float]]
_ON_RECORD: LiteralString = """
select chunk_table, content_hash from boring.document where tenant = %s and source = %s
    and chunk_table in (select tablename from pg_tables where schemaname = 'boring')
"""
_SUPERSEDED: Final[LiteralString] = """
delete from boring.document old using boring.document own
where own.tenant = %(tenant)s and own.chunk_table = %(own)s and own.content_hash <> ''
    and old.tenant = own.tenant and old.source = own.source and old.chunk_table <> own.chunk_table
    and (old.content_hash in ('', own.content_hash) or old.indexed_at <= own.indexed_at)
returning old.chunk_table
"""
_HOLD: LiteralString = """
select from boring.document where tenant = %(tenant)s and chunk_table <> %(own)s
order by source, chunk_table for update
"""
_LEFT: LiteralString = """
delete from {} old where tenant = %(tenant)s and not exists (
    select from boring.document kept
    where kept.tenant = old.tenant and kept.source = old.source and kept.chunk_table = %(table)s)
"""


class Writer(Protocol):
    """What embeds and stores: a `memory.documents.DocumentStore`."""

    @property
    def database(self) -> Database:
        """Where documents are stored."""
        ...

    @property
    def embeddings(self) -> Embeddings:
        """The settings' embedding model."""
        ...

    @property
    def model(self) -> str:
        """Its name, as it is recorded with documents."""
        ...

    @property
    def table(self) -> str:
        """That of its passages."""
        ...


async def put_document(
    writer: Writer, tenant: str, source: str, *, content_hash: str, passages: Sequence[Passage]
) -> None:
    """Store a document in the settings' table, and in the one that is searched, in place of what is there."""
    async with document_lock(writer.database, tenant, source) as connection:
        own = Version(writer.table, writer.model, content_hash, passages)
        written: list[tuple[Version, Vectors]] = []
        on_record = await _on_record(connection, tenant, source)
        if on_record.get(own.table) != content_hash:
            written.append((own, await embedded_into(writer, connection, passages)))
            on_record = await _on_record(connection, tenant, source)
        other = await _other(connection, tenant, own)
        if other is not None and on_record.get(other.table) != content_hash:
            vectors = await _embedded_by_other(connection, other)
            written += [] if vectors is None else [(other, vectors)]
        replaced = {table for table, known in on_record.items() if known != content_hash}
        replaced |= {version.table for version, _ in written}
        async with connection.transaction():
            await hold_rows(connection, tenant, source)
            await delete_document(connection, sorted(replaced), tenant, source)
            for version, vectors in written:
                await insert_document(connection, tenant, source, version, vectors)


async def remove_document(writer: Writer, tenant: str, source: str) -> None:
    """Delete a document from all tables."""
    async with document_lock(writer.database, tenant, source) as connection:
        tables = {writer.table, *await _on_record(connection, tenant, source)}
        async with connection.transaction():
            await hold_rows(connection, tenant, source)
            await delete_document(connection, sorted(tables), tenant, source)


async def delete_superseded(database: Database, tenant: str, own: str) -> bool:
    """Delete from the other tables what the settings' one has, if it lacks no document of the tenant.

    Returns:
        Whether it lacks none.
    """
    async with database.pool.connection() as connection:
        names = await _others_if_whole(connection, tenant, own)
    if not names:
        return names is not None
    async with document_lock(database, tenant) as connection, connection.transaction():
        names = await _others_if_whole(connection, tenant, own)
        if names:
            for statement in (_HOLD, _SUPERSEDED):
                await connection.execute(statement, {"tenant": tenant, "own": own})
        for name in names or ():
            statement = sql.SQL(_LEFT).format(identifier(name))
            await connection.execute(statement, {"tenant": tenant, "table": name})
        return names is not None


async def embedded_into(writer: Writer, connection: Connection, passages: Sequence[Passage]) -> Vectors:
    """Return the vectors of passages by the settings' model, whose table takes them."""
    if not passages:
        return []
    vectors = await writer.embeddings.aembed_documents([one.content for one in passages])
    await fit_table(writer.database, connection, writer.table, len(vectors[0]))
    return vectors


async def _on_record(connection: Connection, tenant: str, source: str) -> dict[str, str]:
    """Return by table the hash of what it holds of a document."""
    rows = await connection.execute(_ON_RECORD, (tenant, source))
    return {row["chunk_table"]: row["content_hash"] for row in await rows.fetchall()}


async def _other(connection: Connection, tenant: str, own: Version) -> Version | None:
    """Return what another table is to hold, where that one is searched and its model is known."""
    table = served(await tables_of(connection, tenant), own.table)
    if table is None or table.model is None or table.name == own.table:
        return None
    return Version(table.name, table.model, own.content_hash, own.passages)


async def _embedded_by_other(connection: Connection, version: Version) -> Vectors | None:
    if version.model is None or not version.passages:
        return []
    texts = [one.content for one in version.passages]
    vectors = await embedded_by(version.model, texts, what=DOCUMENTS)
    size = await dimensions_of(connection, version.table)
    return None if vectors is None or len(vectors[0]) != size else vectors


async def _others_if_whole(connection: Connection, tenant: str, own: str) -> list[str] | None:
    """Return the other tables that hold documents of a tenant; None if the settings' one lacks any."""
    tables = await tables_of(connection, tenant)
    table = served(tables, own)
    if tables and (table is None or table.name != own):
        return None
    return [table.name for table in tables if table.name != own]
