"""By which embedding model a tenant's documents are searched: by the one whose passages are all there.

When the settings name another model, its passages are made beside the old ones, which are searched until no
document is missing among the new ones.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, LiteralString

from psycopg import sql

from core.embedding import known_embedding_names
from core.process import current_process
from core.tenants import Connection
from memory.document_tables import table_of
from memory.other_models import REEMBED, question_embedded_by, tells_again

DOCUMENTS: Final = "Documents"
HELD: Final[LiteralString] = """
held as (
    select source, chunk_table, embedding_model, content_hash, indexed_at,
        first_value(content_hash) over (partition by source order by indexed_at desc) as newest
    from boring.document where tenant = %(tenant)s and content_hash <> ''
        and chunk_table in (select tablename from pg_tables where schemaname = 'boring')
)
"""
"""The tenant's documents in each table, and the hash of each one's newest content."""
_TABLES = sql.SQL("""
with {held}, filled as (
    select chunk_table, max(embedding_model) as model, max(indexed_at) as written from boring.document
    where tenant = %(tenant)s and content_hash <> ''
        and chunk_table in (select tablename from pg_tables where schemaname = 'boring')
    group by chunk_table
)
select chunk_table, model,
    (select atttypmod from pg_attribute where attname = 'embedding'
        and attrelid = to_regclass(format('boring.%%I', chunk_table))) as dimensions,
    case when (select count(*) from filled) = 1 then true else
        (select count(*) from held where held.chunk_table = filled.chunk_table and content_hash = newest)
        = (select count(distinct source) from held) end as is_whole
from filled order by written desc, chunk_table
""").format(held=sql.SQL(HELD))
"""The only table is whole; what is compared where there are several takes three times as long."""
_NAME: LiteralString = """
update boring.document set embedding_model = names.model
from unnest(%(models)s::text[], %(tables)s::text[]) as names (model, own)
where embedding_model is null and chunk_table = names.own
"""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Table:
    """A table that holds documents of a tenant.

    Attributes:
        name: without its schema.
        model: whose embeddings it holds; None where that is not on record.
        dimensions: how many numbers each vector has.
        is_whole: whether it holds every document of the tenant, in its newest content.
    """

    name: str
    model: str | None
    dimensions: int
    is_whole: bool


async def tables_of(connection: Connection, tenant: str) -> list[Table]:
    """Return the tables that hold documents of a tenant, the one written last first."""
    rows = await connection.execute(_TABLES, {"tenant": tenant})
    return [
        Table(row["chunk_table"], row["model"], row["dimensions"], row["is_whole"])
        for row in await rows.fetchall()
    ]


def served(tables: Sequence[Table], own: str) -> Table | None:
    """Return the table that is searched, the settings' own one if it is whole; None if none is whole."""
    whole = [table for table in tables if table.is_whole]
    return next((table for table in whole if table.name == own), whole[0] if whole else None)


async def note_names(connection: Connection, model: str) -> None:
    """Put on record by which model documents of before were embedded, where the name of the table tells."""
    models = {table_of(name): name for name in (*known_embedding_names(), model)}
    await connection.execute(_NAME, {"models": list(models.values()), "tables": list(models)})


async def question_by(table: Table, question: str) -> list[float] | None:
    """Return the vector of a question by the model of a table that is not the settings'.

    Returns:
        None, with a warning once a minute, where that model can't be asked or makes other vectors now.
    """
    if table.model is None:
        await warn_of_words_only([table])
        return None
    vector = await question_embedded_by(table.model, question, what=DOCUMENTS)
    if vector is not None and len(vector) != table.dimensions:
        await warn_of_words_only([table])
        return None
    return vector


async def warn_of_words_only(tables: Iterable[Table]) -> None:
    """Say, once a minute, that documents are searched by words only, and which command ends that."""
    names = ", ".join(sorted(f"{one.model or 'an unknown model'} ({one.name})" for one in tables))
    if tells_again(await current_process(), f"{DOCUMENTS} {names}"):
        _log.warning(
            "Documents were embedded by %s, and can't be searched by meaning now; they are searched by words"
            " only until `%s` has embedded them by the settings' model.",
            names,
            REEMBED,
        )
