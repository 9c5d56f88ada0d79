"""Memories that another embedding model has embedded, embedded anew."""

from core.process import current_process
from memory.items import as_tenant
from memory.items_writing import halfvec
from memory.store_text import embedded, embedded_question

_BATCH = 100
_OTHERS = """
select id, text from boring.memory_item
where embedding is not null and valid_to is null and (embedding_model, embedding_dimensions) <> (%s, %s)
order by id limit %s
"""
_REPLACE = """
update boring.memory_item set embedding = %(embedding)s::halfvec, embedding_model = %(model)s,
    embedding_dimensions = vector_dims(%(embedding)s::halfvec)
where id = %(id)s and text = %(text)s
"""


async def reembed(tenant: str) -> int:
    """Embed a tenant's memories anew where another model has embedded them; return how many there were.

    It goes on where it was stopped. Searches of a namespace fail until its memories are done.

    Raises:
        ConfigurationError: the embedding model or the database can't be used.
    """
    database = await (await current_process()).database()
    example, model = await embedded_question("size")
    done = 0
    while True:
        async with as_tenant(database, tenant) as connection:
            rows = await (await connection.execute(_OTHERS, (model, len(example), _BATCH))).fetchall()
        if not rows:
            return done
        vectors, _ = await embedded([row["text"] for row in rows])
        changes = [
            {**row, "embedding": halfvec(vector), "model": model}
            for row, vector in zip(rows, vectors, strict=True)
        ]
        async with as_tenant(database, tenant) as connection, connection.cursor() as cursor:
            await cursor.executemany(_REPLACE, changes)
        done += len(rows)
