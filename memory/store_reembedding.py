"""A tenant's memories embedded by another model, while the vectors they have are searched.

Each memory gets its new vector beside the old one. When none lacks it, searches go over to the new vectors
at once, and those take the place of the old ones.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from psycopg import sql

from core.process import Process, current_process
from core.progress import Progress
from core.tenants import as_tenant
from memory.items_writing import halfvec
from memory.store_building import index_tenant
from memory.store_models import Served, served_model
from memory.store_text import embedded, embedded_question

_BATCH = 100
_LACKING = sql.SQL("""
    valid_to is null and text is not null
    and (embedding_model, embedding_dimensions) is distinct from (%(model)s, %(dimensions)s)
    and (next_model, next_dimensions) is distinct from (%(model)s, %(dimensions)s)
""")
_COUNT = sql.SQL("select count(*) as rows from boring.memory_item where {lacking}").format(lacking=_LACKING)
_FIND = sql.SQL("""
select id, text from boring.memory_item where {lacking} and id > %(after)s order by id limit %(most)s
""").format(lacking=_LACKING)
_ADD = """
update boring.memory_item set next_embedding = %(embedding)s::halfvec, next_model = %(model)s,
    next_dimensions = %(dimensions)s
where id = %(id)s and text = %(text)s and valid_to is null and not exists (
    select from boring.memory_model where (model, dimensions) = (next_model, next_dimensions))
"""
_SWITCH = sql.SQL("""
update boring.memory_model set model = %(model)s, dimensions = %(dimensions)s
where not exists (select from boring.memory_item where {lacking}) returning model
""").format(lacking=_LACKING)
_HOLD = "select from boring.memory_model for update"
_PROMOTE = """
update boring.memory_item set embedding = next_embedding, embedding_model = next_model,
    embedding_dimensions = next_dimensions, next_embedding = null, next_model = null, next_dimensions = null
from boring.memory_model
where id = any(%(ids)s) and (next_model, next_dimensions) = (model, dimensions)
"""
_WAITING = """
select id from boring.memory_item join boring.memory_model
    on (next_model, next_dimensions) = (model, dimensions)
where id > %(after)s order by id limit %(most)s
"""
_LEAST = UUID(int=0)


async def reembed(tenant: str, progress: Progress | None = None) -> int:
    """Embed a tenant's memories by the model in the settings where another has; return how many there were.

    It goes on where it was stopped, and loses nothing if it is killed. Searches find what they found before,
    by the old vectors, until the new ones are all there.

    Args:
        tenant: whose memories.
        progress: told how many are done, of how many.

    Raises:
        ConfigurationError: the embedding model or the database can't be used.
    """
    process = await current_process()
    example, model = await embedded_question("size")
    wanted = Served(model, len(example))
    values = {"model": wanted.model, "dimensions": wanted.dimensions, "most": _BATCH}
    done = 0
    while True:
        await _promote(process, tenant)  # what a killed one has left: it is searched, and not to be lost
        done += await _add_vectors(process, tenant, values, progress=progress)
        await index_tenant(tenant, wanted)
        if await _switched(process, tenant, wanted, values):
            break
    await _promote(process, tenant)
    await index_tenant(tenant)
    return done


async def _add_vectors(
    process: Process, tenant: str, values: dict[str, Any], *, progress: Progress | None
) -> int:
    database = await process.database()
    async with as_tenant(database, tenant) as connection:
        row = await (await connection.execute(_COUNT, values)).fetchone()
    total = 0 if row is None else int(row["rows"])
    done, after = 0, _LEAST
    while True:
        async with as_tenant(database, tenant) as connection:
            rows = await (await connection.execute(_FIND, {**values, "after": after})).fetchall()
        if not rows:
            return done
        vectors, _ = await embedded([row["text"] for row in rows])
        changes = [
            {**values, **row, "embedding": halfvec(vector)} for row, vector in zip(rows, vectors, strict=True)
        ]
        async with as_tenant(database, tenant) as connection, connection.cursor() as cursor:
            await cursor.executemany(_ADD, changes)
        done, after = done + len(rows), rows[-1]["id"]
        if progress is not None:
            progress(done=done, total=max(total, done), what=f"embedding the memories of {tenant}")


async def _switched(process: Process, tenant: str, wanted: Served, values: dict[str, Any]) -> bool:
    """Let searches go over to the new vectors, if none is missing; writers wait meanwhile."""
    async with as_tenant(await process.database(), tenant) as connection:
        await connection.execute(_HOLD)
        served = await served_model(connection)
        if served is None or served == wanted:
            return True
        await connection.execute(
            "insert into boring.memory_model (tenant, model, dimensions)"
            " values (%s, %s, %s) on conflict do nothing",
            (tenant, served.model, served.dimensions),
        )
        row = await (await connection.execute(_SWITCH, values)).fetchone()
        return row is not None


async def _promote(process: Process, tenant: str) -> None:
    """Put the new vectors that are searched in the place of the old ones."""
    after = _LEAST
    while True:
        async with as_tenant(await process.database(), tenant) as connection:
            waiting = await connection.execute(_WAITING, {"after": after, "most": _BATCH})
            ids = [row["id"] for row in await waiting.fetchall()]
            if not ids:
                return
            await connection.execute(_PROMOTE, {"ids": ids})
        after = ids[-1]
