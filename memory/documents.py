"""The knowledge base: documents cut into passages, embedded, and searched inside one tenant."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from langchain_core.documents import Document
from psycopg import AsyncConnection, sql

from core.database import Database
from core.embedding import embedding_name
from core.process import Process, current_process
from core.state import Source
from memory.chunks import Chunk

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings
    from langchain_postgres import PGEngine, PGVectorStore

SCHEMA = "boring"
_COLUMNS = ("tenant", "source", "section")


@dataclass(frozen=True, slots=True)
class DocumentStore:
    """The documents of one database under one embedding model.

    Vectors of different embedding models can't be compared, so each model has a table of its own. The search
    is exact: the table has no approximate index, which would be scanned before the tenant is filtered.
    """

    database: Database
    vectors: PGVectorStore
    table: str

    async def hashes(self, tenant: str, folder: str) -> dict[str, str]:
        """Return the content hash of every indexed document whose source lies in `folder` or is it."""
        async with self.database.pool.connection() as connection:
            rows = await connection.execute(
                "select source, content_hash from boring.document where tenant = %s and chunk_table = %s "
                "and (source = %s or starts_with(source, %s))",
                (tenant, self.table, folder, folder.rstrip("/") + "/"),
            )
            return {row["source"]: row["content_hash"] for row in await rows.fetchall()}

    async def count(self, tenant: str) -> int:
        """Return how many documents the tenant has."""
        async with self.database.pool.connection() as connection:
            rows = await connection.execute(
                "select count(*) as n from boring.document where tenant = %s and chunk_table = %s",
                (tenant, self.table),
            )
            row = await rows.fetchone()
            return int(row["n"]) if row else 0

    async def put(self, tenant: str, source: str, content_hash: str, chunks: Sequence[Chunk]) -> None:
        """Store a document's passages in place of its earlier ones.

        Killed in the middle, the document counts as not indexed and the next `put` replaces what is there.
        """
        await self.remove(tenant, source)
        documents = [
            Document(
                id=str(uuid.uuid5(uuid.NAMESPACE_URL, f"{tenant}|{source}|{content_hash}|{position}")),
                page_content=chunk.searchable,
                metadata={"tenant": tenant, "source": source, "section": chunk.section},
            )
            for position, chunk in enumerate(chunks)
        ]
        if documents:
            await self.vectors.aadd_documents(documents)
        async with self.database.pool.connection() as connection:
            await connection.execute(
                "insert into boring.document (tenant, source, chunk_table, content_hash, chunks) "
                "values (%s, %s, %s, %s, %s) on conflict (tenant, source, chunk_table) do update "
                "set content_hash = excluded.content_hash, chunks = excluded.chunks, indexed_at = now()",
                (tenant, source, self.table, content_hash, len(chunks)),
            )

    async def remove(self, tenant: str, source: str) -> None:
        """Forget a document and its passages."""
        async with self.database.pool.connection() as connection, connection.transaction():
            await connection.execute(
                "delete from boring.document where tenant = %s and source = %s and chunk_table = %s",
                (tenant, source, self.table),
            )
            await connection.execute(
                sql.SQL("delete from boring.{} where tenant = %s and source = %s").format(
                    sql.Identifier(self.table)
                ),
                (tenant, source),
            )

    async def search(self, tenant: str, query: str, *, limit: int) -> list[Source]:
        """Return the tenant's passages nearest in meaning to `query`, best first."""
        found = await self.vectors.asimilarity_search(query, k=limit, filter={"tenant": {"$eq": tenant}})
        return [
            Source(
                source=str(document.metadata["source"]),
                section=str(document.metadata["section"]),
                text=document.page_content,
            )
            for document in found
        ]


async def document_store() -> DocumentStore:
    """Return the document store of this process, opened at the first call."""
    process = await current_process()
    return await process.once("documents", lambda: _opened_document_store(process))


@asynccontextmanager
async def _opened_document_store(process: Process) -> AsyncGenerator[DocumentStore]:
    database = await process.database()
    embeddings = await process.embeddings()
    table = "chunk_" + re.sub(r"[^a-z0-9]+", "_", embedding_name(process.settings).lower())[:50]

    async def connect() -> AsyncConnection[Any]:
        return await AsyncConnection.connect(database.url)

    # The library takes a second to import and the model is starting meanwhile, so it is done in a thread.
    library = await asyncio.to_thread(import_module, "langchain_postgres")
    from sqlalchemy.ext.asyncio import create_async_engine  # noqa: PLC0415

    engine = create_async_engine("postgresql+psycopg://", async_creator=connect, pool_size=3)
    try:
        vectors = await _vector_table(library.PGEngine.from_engine(engine), database, embeddings, table)
        yield DocumentStore(database=database, vectors=vectors, table=table)
    finally:
        await engine.dispose()


async def _vector_table(
    engine: PGEngine, database: Database, embeddings: Embeddings, table: str
) -> PGVectorStore:
    async with database.pool.connection() as connection:
        rows = await connection.execute("select to_regclass(%s) is not null as there", (f"{SCHEMA}.{table}",))
        row = await rows.fetchone()
    if row is None or not row["there"]:
        await _create_table(engine, database, embeddings, table)
    from langchain_postgres import PGVectorStore  # noqa: PLC0415 - imported above

    return await PGVectorStore.create(
        engine,
        embeddings,
        table,
        schema_name=SCHEMA,
        metadata_columns=list(_COLUMNS),
        metadata_json_column=None,
    )


async def _create_table(engine: PGEngine, database: Database, embeddings: Embeddings, table: str) -> None:
    from langchain_postgres import Column  # noqa: PLC0415 - imported above

    size = len(await embeddings.aembed_query("size"))
    async with database.pool.connection() as connection, connection.transaction():
        await connection.execute("select pg_advisory_xact_lock(hashtext(%s))", (f"create {table}",))
        rows = await connection.execute("select to_regclass(%s) is not null as there", (f"{SCHEMA}.{table}",))
        row = await rows.fetchone()
        if row is not None and row["there"]:
            return
        await engine.ainit_vectorstore_table(
            table,
            size,
            schema_name=SCHEMA,
            metadata_columns=[Column(name, "text", nullable=False) for name in _COLUMNS],
            store_metadata=False,
        )
        await connection.execute(
            sql.SQL("create index on boring.{} (tenant, source)").format(sql.Identifier(table))
        )
