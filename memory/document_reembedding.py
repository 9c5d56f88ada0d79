"""A tenant's documents embedded by another model, from their passages, while the old ones are searched."""

from __future__ import annotations

from typing import Final, LiteralString

from psycopg import sql

from core.database import Database
from core.embedding import embedding_name
from core.process import current_process
from core.progress import Progress
from core.tenants import Connection
from memory.document_locks import document_lock
from memory.document_models import HELD, tables_of
from memory.document_tables import (
    Version,
    delete_document,
    fit_table,
    hold_rows,
    passages_in,
    table_of,
)
from memory.document_vectors import insert_document
from memory.document_writing import embedded_into
from memory.documents import DocumentStore, document_store

_LACKING = sql.SQL("""
with {held}
select source from held group by source
having not bool_or(chunk_table = %(own)s and content_hash = newest) order by source
""").format(held=sql.SQL(HELD))
_NEWEST: Final[LiteralString] = """
select chunk_table, content_hash from boring.document
where tenant = %s and source = %s and content_hash <> ''
    and chunk_table in (select tablename from pg_tables where schemaname = 'boring')
order by indexed_at desc, chunk_table = %s desc limit 1
"""


async def reembed_documents(tenant: str, progress: Progress | None = None) -> int:
    """Embed a tenant's documents by the model in the settings where another has; return how many there were.

    It goes on where it was stopped, document by document, and loses nothing if it is killed. Searches find
    what they found before until no document is missing; then the old passages are deleted.

    Args:
        tenant: whose documents.
        progress: told how many are done, of how many.

    Raises:
        ConfigurationError: the embedding model or the database can't be used.
    """
    process = await current_process()
    database, own = await process.database(), table_of(embedding_name(process.settings))
    async with database.pool.connection() as connection:
        if not await tables_of(connection, tenant):
            return 0
    store = await document_store()
    size = len(await store.embeddings.aembed_query("size"))
    async with database.pool.connection() as connection:
        await fit_table(database, connection, own, size)
    done = 0
    while True:
        lacking = await _lacking(database, tenant, own)
        for number, source in enumerate(lacking):
            if progress is not None:
                what = f"embedding the documents of {tenant}"
                progress(done=done, total=done + len(lacking) - number, what=what)
            done += await _embedded_anew(store, tenant, source)
        if await store.tidy(tenant):
            return done


async def _lacking(database: Database, tenant: str, own: str) -> list[str]:
    """Return the documents that the settings' table has not in their newest content."""
    async with database.pool.connection() as connection:
        rows = await connection.execute(_LACKING, {"tenant": tenant, "own": own})
        return [row["source"] for row in await rows.fetchall()]


async def _embedded_anew(store: DocumentStore, tenant: str, source: str) -> bool:
    """Embed a document; return whether it was there and not embedded meanwhile."""
    async with document_lock(store.database, tenant, source) as connection:
        newest = await _newest(connection, tenant, source, own=store.table)
        if newest is None or newest[0] == store.table:
            return False
        passages = await passages_in(connection, newest[0], tenant, source)
        vectors = await embedded_into(store, connection, passages)
        async with connection.transaction():
            await hold_rows(connection, tenant, source)
            if await _newest(connection, tenant, source, own=store.table) != newest:
                return False  # forgotten meanwhile
            await delete_document(connection, [store.table], tenant, source)
            version = Version(store.table, store.model, newest[1], passages)
            await insert_document(connection, tenant, source, version, vectors)
        return True


async def _newest(connection: Connection, tenant: str, source: str, *, own: str) -> tuple[str, str] | None:
    """Return the table that has a document's newest content, and its hash."""
    rows = await connection.execute(_NEWEST, (tenant, source, own))
    row = await rows.fetchone()
    return None if row is None else (row["chunk_table"], row["content_hash"])
