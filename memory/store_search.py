"""The statements that read items: one by its key, some by their place, the best for a question."""

from __future__ import annotations

from typing import Any, Literal

from langgraph.store.base import GetOp, Item, SearchItem, SearchOp
from psycopg import sql
from psycopg.rows import DictRow

from core.errors import ConfigurationError
from core.process import current_process
from memory.items import COLUMNS, Connection
from memory.items_writing import halfvec
from memory.store_building import begin_indexing
from memory.store_exact import TIMES, found_exactly
from memory.store_filters import Conditions
from memory.store_models import REEMBED, Asked, vector_by
from memory.store_scopes import indexed_scope
from memory.store_vast import found_vast

Ranking = Literal["both", "meaning", "words"]
"""What items are ranked by; `words` needs no embedding."""

_UNEXPIRED = sql.SQL("(expires_at is null or expires_at > now())")
_CURRENT = sql.SQL("valid_to is null and {}").format(_UNEXPIRED)
_DAY = sql.SQL("(valid_from at time zone 'UTC')::date")
_LOCKED = sql.SQL(
    "select id from boring.memory_item where id = any (array (select id from best)) for update skip locked"
)
"""A row that another reader is counting at this moment is left to it, so that readers never wait.

They are arrays, since those are made once: a join would be planned to look for them anew at every row while
Postgres has no statistics of a small table, and 250 memories would take two seconds.
"""
_USE = sql.SQL("""
update boring.memory_item set uses = uses + 1, expires_at = case when {refresh} and ttl_minutes is not null
    then now() + make_interval(secs => 60 * ttl_minutes) else expires_at end
where id = any (array ({locked}))
""")
_KEEP = sql.SQL("""
update boring.memory_item set expires_at = now() + make_interval(secs => 60 * ttl_minutes)
where {refresh} and ttl_minutes is not null
    and id = any (array ({locked}))
""")
"""Listing what is there keeps it, and is no use of it."""
_GET = sql.SQL("""
with best as (
    select {columns} from boring.memory_item
    where path = boring.path_of(%(namespace)s) and key = %(key)s and {current}
), touched as ({use})
select * from best
""")
_LIST = sql.SQL("""
with best as (
    select {columns} from boring.memory_item
    where {inside} and {current} and {filter}
    order by updated_at desc, id limit %(limit)s offset %(offset)s
), touched as ({keep})
select * from best order by updated_at desc, id
""")


async def got(connection: Connection, op: GetOp) -> Item | None:
    """Return the item that now stands under a key."""
    statement = _GET.format(
        columns=COLUMNS,
        current=_CURRENT,
        use=_USE.format(refresh=sql.Literal(op.refresh_ttl), locked=_LOCKED),
    )
    values = {"namespace": list(op.namespace), "key": op.key}
    row = await (await connection.execute(statement, values)).fetchone()
    return None if row is None else Item(**_fields(row))


async def found(
    connection: Connection,
    op: SearchOp,
    *,
    meaning: list[float] | None = None,
    model: str = "",
    ranking: Ranking = "both",
) -> list[DictRow]:
    """Return the items inside a namespace that fit a filter: the newest first, or the best for a question.

    Args:
        connection: from `as_tenant`.
        op: the search.
        meaning: the embedding of its question; None, it is ranked by words only.
        model: which the embedding came from.
        ranking: what a question is answered by.

    Raises:
        ConfigurationError: there is neither an embedding nor a word to go by.
        ValueError: the filter can't be read.
    """
    conditions = Conditions()
    parts = {
        "columns": COLUMNS,
        "current": _CURRENT,
        "filter": conditions.of(op.filter),
        "use": _USE.format(refresh=sql.Literal(op.refresh_ttl), locked=_LOCKED),
        "keep": _KEEP.format(refresh=sql.Literal(op.refresh_ttl), locked=_LOCKED),
    }
    values: dict[str, Any] = {
        **conditions.values,
        "prefix": list(op.namespace_prefix),
        "limit": op.limit,
        "offset": op.offset,
    }
    if not op.query:
        statement = _LIST.format(**parts, inside=inside(len(op.namespace_prefix)))
        return await (await connection.execute(statement, values)).fetchall()
    wanted = op._replace(query=op.query if ranking != "meaning" else "")
    return await _ranked(connection, wanted, Asked(model, meaning), parts=parts, values=values)


async def _ranked(
    connection: Connection, op: SearchOp, asked: Asked, *, parts: dict[str, Any], values: dict[str, Any]
) -> list[DictRow]:
    dimensions = len(asked.vector or ())
    parts |= {"day": _DAY, "times": TIMES, "vector": vector_by(asked.model, dimensions)}
    values |= {
        "query": op.query,
        "meaning": halfvec(asked.vector),
        "reach": 10 + 2 * (op.limit + op.offset),
        "filtered": bool(op.filter),
    }
    place, scope = op.namespace_prefix, None
    if asked.vector is None:
        await _require_words(connection, op.query or "", asked.model)
    else:
        scope = await indexed_scope(
            connection, place, op.query or "", model=asked.model, dimensions=dimensions
        )
        if scope is not None:
            parts["unexpired"], parts["dimensions"] = _UNEXPIRED, sql.Literal(dimensions)
            rows = await found_vast(connection, scope, parts, values)
            if scope.is_old:
                await begin_indexing(connection, place)
            if rows is not None:
                return rows
    parts["inside"] = inside(len(op.namespace_prefix))
    rows, size = await found_exactly(connection, parts, values)
    exact_rows = (await current_process()).settings.memory_exact_rows
    is_small = scope is not None and not op.filter and size < exact_rows // 2
    if asked.vector is not None and (size > exact_rows or is_small):
        await begin_indexing(connection, place)
    return rows


async def _require_words(connection: Connection, query: str, model: str) -> None:
    statement = "select length(to_tsvector('english', %s)) as words"
    row = await (await connection.execute(statement, (query,))).fetchone()
    if row is None or not row["words"]:
        raise ConfigurationError(
            f"the memories here were embedded by {model!r}, which can't be asked about {query!r} now, and no"
            " word of that is indexed. Set BORING_EMBEDDING_MODEL and BORING_EMBEDDING_BASE_URL back, or have"
            f" the memories embedded anew: `{REEMBED}`."
        )


def search_item(row: DictRow) -> SearchItem:
    """Return what LangGraph sees of a row that was found."""
    return SearchItem(**_fields(row), score=row.get("score"))


def inside(labels: int) -> sql.Composable:
    """Return the condition that an item's namespace begins with the `labels` labels of `prefix`.

    A path ends with a period, and what follows the period in the order of bytes is the slash.
    """
    if not labels:
        return sql.SQL("true")
    return sql.SQL(
        "path >= boring.path_of(%(prefix)s) and path < rtrim(boring.path_of(%(prefix)s), '.') || '/'"
    )


def _fields(row: DictRow) -> dict[str, Any]:
    fields: dict[str, Any] = {name: row[name] for name in ("key", "value", "created_at", "updated_at")}
    return fields | {"namespace": tuple(row["namespace"])}
