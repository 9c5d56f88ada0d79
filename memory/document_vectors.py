"""Passages written by LangChain's `PGVectorStore`, in a transaction of ours.

Left to itself it commits every row. So it is given the connection that is in the transaction, on which a
commit, a rollback and a close do nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from langchain_core.embeddings import Embeddings
from psycopg.rows import tuple_row
from typing_extensions import override

from core.loading import load
from core.tenants import Connection
from memory.document_tables import SCHEMA, Version

if TYPE_CHECKING:
    from langchain_postgres import PGVectorStore

_COLUMNS = ("tenant", "source", "section")


async def insert_document(
    connection: Connection, tenant: str, source: str, version: Version, vectors: Sequence[Sequence[float]]
) -> None:
    """Insert a document that is not in the version's table, in an open transaction.

    Args:
        connection: in the transaction.
        tenant: whose document it is.
        source: its path.
        version: its passages.
        vectors: one for each of them.
    """
    if version.passages:
        store = await _store_on(connection, version.table)
        await store.aadd_embeddings(
            [one.content for one in version.passages],
            [[*vector] for vector in vectors],
            [{"tenant": tenant, "source": source, "section": one.section} for one in version.passages],
            [str(one.id) for one in version.passages],
        )
    await connection.execute(
        "insert into boring.document (tenant, source, chunk_table, embedding_model, content_hash, chunks)"
        " values (%s, %s, %s, %s, %s, %s)",
        (tenant, source, version.table, version.model, version.content_hash, len(version.passages)),
    )


async def _store_on(connection: Connection, table: str) -> PGVectorStore:
    await load("langchain_postgres", "sqlalchemy.ext.asyncio")
    from langchain_postgres import PGEngine, PGVectorStore  # noqa: PLC0415 - loaded above
    from sqlalchemy.ext.asyncio import create_async_engine  # noqa: PLC0415
    from sqlalchemy.pool import StaticPool  # noqa: PLC0415

    async def joined() -> Any:
        return _Joined(connection)

    engine = create_async_engine(
        "postgresql+psycopg://", async_creator=joined, poolclass=StaticPool, use_native_hstore=False
    )
    return await PGVectorStore.create(
        PGEngine.from_engine(engine),
        _Given(),
        table,
        schema_name=SCHEMA,
        metadata_columns=list(_COLUMNS),
        metadata_json_column=None,
    )


class _Joined:
    """A connection that is in a transaction, which whoever gets this takes part in and does not end."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def cursor(self, *args: Any, **options: Any) -> Any:
        return self._connection.cursor(*args, **{"row_factory": tuple_row, **options})

    async def commit(self) -> None:
        pass

    async def rollback(self) -> None:
        pass

    async def close(self) -> None:
        pass


class _Given(Embeddings):
    """Stands for the model: passages come with their vectors."""

    @override
    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        raise NotImplementedError("passages are embedded before")

    @override
    def embed_query(self, text: str) -> list[float]:
        raise NotImplementedError("questions are embedded elsewhere")
