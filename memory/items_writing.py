"""How an item is remembered and forgotten: a new version ends the one before it and never overwrites it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, LiteralString
from uuid import uuid4

import orjson
from psycopg import sql
from psycopg.types.json import Jsonb

from core.tenants import Connection
from memory.items import NewItem, lock_number
from memory.store_models import OvertakenError

_LOCK: LiteralString = """
select pg_advisory_xact_lock(number)
from unnest(%s::bigint[]) with ordinality as wanted (number, place) order by place
"""
_PARTS = {
    "current": sql.SQL("path = boring.path_of(%(namespace)s) and key = %(key)s and valid_to is null"),
    "due": sql.SQL("(expires_at is not null and expires_at <= %(moment)s)"),
    "same": sql.SQL(
        "value = %(value)s and text is not distinct from %(text)s and kind = %(kind)s and user_id = %(user)s"
        " and trusted = %(trusted)s and (%(model)s::text is null or embedding_model = %(model)s)"
    ),
}
_CONFIRM = sql.SQL("""
update boring.memory_item set updated_at = %(moment)s, ttl_minutes = %(ttl)s::float8,
    expires_at = %(moment)s + make_interval(secs => 60 * %(ttl)s::float8)
where {current} and not {due} and {same}
""").format(**_PARTS)
_END = sql.SQL("""
update boring.memory_item set superseded_by = case when {due} then null else %(id)s::uuid end,
    valid_to = case when {due} then expires_at else greatest(%(moment)s, valid_from) end
where {current} and ({due} or not ({same}))
""").format(**_PARTS)
_BEGIN = sql.SQL("""
insert into boring.memory_item (id, tenant, user_id, kind, namespace, key, value, text, embedding,
    embedding_model, embedding_dimensions, next_embedding, next_model, next_dimensions, created_at,
    updated_at, valid_from, thread_id, run_id, message_id,
    trusted, ttl_minutes, expires_at)
select %(id)s, %(tenant)s, %(user)s, %(kind)s, %(namespace)s, %(key)s, %(value)s, %(text)s,
    %(embedding)s::halfvec, %(model)s, vector_dims(%(embedding)s::halfvec),
    %(next_embedding)s::halfvec, %(next_model)s, vector_dims(%(next_embedding)s::halfvec),
    coalesce((select created_at from boring.memory_item where path = boring.path_of(%(namespace)s)
        and key = %(key)s and superseded_by = %(id)s), %(moment)s),
    %(moment)s, %(moment)s, %(thread_id)s, %(run_id)s, %(message_id)s, %(trusted)s, %(ttl)s::float8,
    %(moment)s + make_interval(secs => 60 * %(ttl)s::float8)
where not exists (select from boring.memory_item where {current})
""").format(**_PARTS)
_SERVED = "select model from boring.memory_model for share"
_SERVE_FIRST = """
insert into boring.memory_model (tenant, model, dimensions) select %(tenant)s, model, dimensions from (
    (select embedding_model as model, embedding_dimensions as dimensions from boring.memory_item
        where embedding is not null and valid_to is null limit 1)
    union all select %(model)s, vector_dims(%(embedding)s::halfvec) limit 1
) as each on conflict do nothing returning model
"""
_SERVE_INSTEAD = """
update boring.memory_model set model = %(model)s, dimensions = vector_dims(%(embedding)s::halfvec)
where not exists (select from boring.memory_item where valid_to is null and (memory_model.model,
    memory_model.dimensions) in ((embedding_model, embedding_dimensions), (next_model, next_dimensions)))
returning model
"""
_DELETE = "delete from boring.memory_item where path = boring.path_of(%s) and key = %s"

Place = tuple[tuple[str, ...], str]


async def write(
    connection: Connection, tenant: str, *, items: Sequence[NewItem] = (), gone: Sequence[Place] = ()
) -> None:
    """Remember items, each in place of what stands under its key, and forget the keys in `gone`.

    An item that says what already stands there makes no new version. Forgetting takes all versions. Writers
    of the same keys wait for one another, in one order, so that none waits for ever.

    Args:
        connection: from `as_tenant`.
        tenant: the same one; also the one of the items' origins.
        items: at most one for each key.
        gone: namespaces and keys.

    Raises:
        OvertakenError: searches have gone over to a model since an item was embedded, and not by that one.
    """
    await lock_places(connection, tenant, [*((item.namespace, item.key) for item in items), *gone])
    row = await (await connection.execute("select clock_timestamp() as moment")).fetchone()
    served = await _served(connection, tenant, items)
    values = [_values(item, row["moment"], served) for item in items] if row else []
    async with connection.cursor() as cursor:
        if gone:
            await cursor.executemany(_DELETE, [(list(namespace), key) for namespace, key in gone])
        for statement in (_CONFIRM, _END, _BEGIN) if values else ():
            await cursor.executemany(statement, values)


async def lock_places(connection: Connection, tenant: str, places: Sequence[Place]) -> None:
    """Wait until nobody else writes at these places, and keep others waiting until the transaction ends."""
    await connection.execute(_LOCK, (sorted({_number(tenant, one) for one in places}),))


def halfvec(vector: Sequence[float] | None) -> str | None:
    """Return a vector as pgvector reads it."""
    return None if vector is None else orjson.dumps(list(vector)).decode()


def _number(tenant: str, place: Place) -> int:
    """Return the number of the lock that writers of a place take."""
    return lock_number("boring.memory_item", tenant, *place[0], "", place[1])


async def _served(connection: Connection, tenant: str, items: Sequence[NewItem]) -> str:
    """Return the model whose vectors are searched; the first vector of a tenant says which.

    It stays so until the transaction ends. Where none of its vectors is left, another may take its place.
    """
    made = next((item for item in items if item.embedding is not None), None)
    if made is None:
        return ""
    values = {"tenant": tenant, "model": made.model, "embedding": halfvec(made.embedding)}
    for statement in (_SERVED, _SERVE_FIRST, _SERVED):
        row = await (await connection.execute(statement, values)).fetchone()
        if row is not None and row["model"] == made.model:
            break
    if row is not None and row["model"] != made.model:
        row = await (await connection.execute(_SERVE_INSTEAD, values)).fetchone() or row
    served: str = (made.model or "") if row is None else row["model"]
    if served not in {made.model, made.other_model}:
        raise OvertakenError(f"a memory was embedded by {made.model!r} when searches went over to {served!r}")
    return served


def _values(item: NewItem, moment: datetime, served: str) -> dict[str, Any]:
    origin = item.origin
    vectors = {item.model: item.embedding, item.other_model: item.other_embedding}
    model = served if vectors.get(served) else None
    following = None if item.model == served else item.model
    return {
        "id": uuid4(),
        "moment": moment,
        "tenant": origin.tenant,
        "user": origin.user,
        "kind": item.kind,
        "namespace": list(item.namespace),
        "key": item.key,
        "value": Jsonb(item.value),
        "text": item.text,
        "embedding": halfvec(vectors.get(served)),
        "model": model,
        "next_embedding": halfvec(vectors.get(following)),
        "next_model": following,
        "thread_id": origin.thread_id,
        "run_id": origin.run_id,
        "message_id": origin.message_id,
        "trusted": origin.trusted,
        "ttl": item.ttl_minutes,
    }
