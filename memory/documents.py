"""The knowledge base: documents cut into passages, embedded, and searched inside one tenant."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, LiteralString
from uuid import NAMESPACE_URL, uuid5

from psycopg import sql

from core.database import Database
from core.embedding import embedding_name
from core.errors import ConfigurationError
from core.process import Process, current_process
from core.state import Source
from memory.chunks import Chunk
from memory.document_models import Table, note_names, question_by, served, tables_of, warn_of_words_only
from memory.document_search import Asked, passages_by_both, passages_by_words
from memory.document_tables import SCHEMA, Passage, dimensions_of, fit_table, identifier, table_of
from memory.document_writing import delete_superseded, put_document, remove_document
from memory.other_models import REEMBED

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings

_BELOW: Final[LiteralString] = (
    "tenant = %(tenant)s and (source = %(folder)s or starts_with(source, %(start)s)"
    " or (%(relative)s and not starts_with(source, '/')))"
)
"""Whether a source lies in a folder or is it; `.` holds all that are named by a relative path."""
_HASHES = sql.SQL("""
select source, case when count(distinct content_hash) = 1 and bool_or(chunk_table = %(table)s)
    then min(content_hash) else '' end as content_hash
from boring.document where {below} group by source
""").format(below=sql.SQL(_BELOW))
_HOLD = sql.SQL("select from boring.document where {below} order by source, chunk_table for update").format(
    below=sql.SQL(_BELOW)
)


@dataclass(frozen=True, slots=True)
class DocumentStore:
    """The documents of one database, embedded by the model that the settings name.

    Vectors of different embedding models can't be compared, so each model has a table of its own. The search
    is exact: the table has no approximate index, which would be scanned before the tenant is filtered.

    Attributes:
        database: where the documents are.
        embeddings: the settings' embedding model.
        model: its name, as it is recorded with documents.
        table: that of its passages, without the schema.
    """

    database: Database
    embeddings: Embeddings
    model: str
    table: str

    async def hashes(self, tenant: str, folder: str) -> dict[str, str]:
        """Return the content hash of every document whose source lies in `folder` or is it.

        It is empty where the document has to be put again: the indexing was cut off, the settings' model has
        not embedded it, or another model has embedded another content. The folder `.` holds the documents
        that are named by a relative path.
        """
        async with self.database.pool.connection() as connection:
            rows = await connection.execute(_HASHES, {"table": self.table, **_below(tenant, folder)})
            return {row["source"]: row["content_hash"] for row in await rows.fetchall()}

    async def count(self, tenant: str) -> int:
        """Return how many documents the tenant has, by whichever model they were embedded."""
        async with self.database.pool.connection() as connection:
            rows = await connection.execute(
                "select count(distinct source) as n from boring.document"
                " where tenant = %s and content_hash <> ''",
                (tenant,),
            )
            row = await rows.fetchone()
            return int(row["n"]) if row else 0

    async def put(self, tenant: str, source: str, content_hash: str, chunks: Sequence[Chunk]) -> None:
        """Store a document's passages in place of its earlier ones, all at once.

        As long as another model's passages are searched, it is embedded by that one, too; where that can't be
        asked, its table loses the document. Of two at once, the one that began later comes second.

        Raises:
            ConfigurationError: the settings' model can't be used.
        """
        passages = [
            Passage(
                uuid5(NAMESPACE_URL, f"{tenant}|{source}|{content_hash}|{position}"),
                chunk.section,
                chunk.searchable,
            )
            for position, chunk in enumerate(chunks)
        ]
        await put_document(self, tenant, source, content_hash=content_hash, passages=passages)

    async def remove(self, tenant: str, source: str) -> None:
        """Forget a document and its passages, by whichever model they were embedded."""
        await remove_document(self, tenant, source)

    async def tidy(self, tenant: str) -> bool:
        """Delete what other models have embedded of a tenant if the settings' one lacks no document of it.

        Returns:
            Whether it lacks none.
        """
        return await delete_superseded(self.database, tenant, self.table)

    async def search(self, tenant: str, query: str, *, limit: int) -> list[Source]:
        """Return the tenant's passages nearest to `query` by meaning and by words together, best first.

        They are those of the settings' model if it has embedded every document, or else those of the model
        that has. Where there is none, or it can't be asked, they are found by words alone, with a warning.

        Raises:
            ConfigurationError: the settings' model can't be used, or there are words only and none is found.
        """
        asked, tables = Asked(tenant, query, limit), await self._tables(tenant)
        while tables:
            searched = served(tables, self.table)
            meaning = await self._meaning(searched, tables, query)
            async with self.database.pool.connection() as connection:
                if searched is not None and meaning is not None:
                    found = await passages_by_both(connection, asked, searched.name, meaning)
                else:
                    found = await passages_by_words(connection, asked, [table.name for table in tables])
            if found:
                return found
            before, tables = tables, await self._tables(tenant)
            if before == tables:  # or else another model took over between the two statements
                _require_meaning(tenant, tables, meaning)
                return []
        return []

    async def _tables(self, tenant: str) -> list[Table]:
        async with self.database.pool.connection() as connection:
            return await tables_of(connection, tenant)

    async def _meaning(
        self, searched: Table | None, tables: Sequence[Table], query: str
    ) -> list[float] | None:
        """Return the question's vector in the table that is searched; None where words alone are left."""
        if searched is not None and searched.name != self.table:
            return await question_by(searched, query)
        meaning = None if searched is None else await self.embeddings.aembed_query(query)
        if searched is not None and meaning is not None and len(meaning) == searched.dimensions:
            return meaning
        await warn_of_words_only(tables)
        return None


def _require_meaning(tenant: str, tables: Sequence[Table], meaning: Sequence[float] | None) -> None:
    if meaning is None:
        names = ", ".join(sorted({repr(table.model or table.name) for table in tables}))
        raise ConfigurationError(
            f"No document of the tenant {tenant!r} has a word of the question, and they can't be searched by"
            f" meaning: they were embedded by {names}. Have the settings' model embed them (`{REEMBED}"
            f" --tenant {tenant}`), or set BORING_EMBEDDING_MODEL and BORING_EMBEDDING_BASE_URL back."
        )


async def document_store() -> DocumentStore:
    """Return the document store of this process, opened at the first call."""
    process = await current_process()
    return await process.once("documents", lambda: _opened_document_store(process))


async def forget_documents(database: Database, tenant: str, folder: str) -> int:
    """Forget all documents whose source lies in `folder` or is it, of whatever embedding model.

    Returns:
        How many there were, with those whose indexing was cut off.
    """
    gone: set[str] = set()
    while True:  # until none is found: while it waited for a writer, that one may have written more
        found = await _forgotten(database, _below(tenant, folder))
        gone |= found
        if not found:
            return len(gone)


async def _forgotten(database: Database, values: Mapping[str, object]) -> set[str]:
    gone: set[str] = set()
    async with database.pool.connection() as connection, connection.transaction():
        await connection.execute(_HOLD, values)
        rows = await connection.execute(
            "select tablename from pg_tables where schemaname = %s and starts_with(tablename, 'chunk_')",
            (SCHEMA,),
        )
        for table in ("document", *(row["tablename"] for row in await rows.fetchall())):
            statement = sql.SQL(
                "with gone as (delete from {} where {} returning source) select distinct source from gone"
            ).format(identifier(table), sql.SQL(_BELOW))
            rows = await connection.execute(statement, values)
            gone |= {row["source"] for row in await rows.fetchall()}
    return gone


def _below(tenant: str, folder: str) -> dict[str, object]:
    start = folder.rstrip("/") + "/"
    return {"tenant": tenant, "folder": folder, "start": start, "relative": folder == "."}


def warm_up_documents(process: Process) -> None:
    """Begin to open the document store, so that the first search need not wait for it."""
    process.begin("documents", lambda: _opened_document_store(process))


@asynccontextmanager
async def _opened_document_store(process: Process) -> AsyncGenerator[DocumentStore]:
    database = await process.database()
    embeddings = await process.embeddings()
    model = embedding_name(process.settings)
    table = table_of(model)
    async with database.pool.connection() as connection:
        if await dimensions_of(connection, table) is None:
            await fit_table(database, connection, table, len(await embeddings.aembed_query("size")))
        await note_names(connection, model)
    yield DocumentStore(database=database, embeddings=embeddings, model=model, table=table)
