"""The statements that read items: one by its key, some by their place, the best for a question."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal

from langgraph.store.base import GetOp, Item, SearchItem, SearchOp
from psycopg import sql
from psycopg.rows import DictRow

from core.errors import ConfigurationError
from core.process import current_process
from memory.items import COLUMNS, Connection
from memory.items_writing import halfvec
from memory.store_building import begin_indexing
from memory.store_exact import found_exactly
from memory.store_filters import Conditions
from memory.store_models import REEMBED, Asked
from memory.store_scopes import indexed_scope
from memory.store_terms import CURRENT, EVERYTHING, Form, as_written, inside
from memory.store_vast import found_vast

Ranking = Literal["both", "meaning", "words"]
"""What items are ranked by; `words` needs no embedding."""

_FARTHEST = 1_000_000_000
"""Most places of a ranking."""
_KEEP = sql.SQL("""
update boring.memory_item set expires_at = now() + make_interval(secs => 60 * ttl_minutes)
where id = any (array (select id from boring.memory_item where id = any (%s) for update skip locked))
""")
"""A row that another reader keeps at this moment is left to it, so that readers never wait.

They are an array, since that is made once: a join would be planned to look for them anew at every row while
Postgres has no statistics of a small table, and 250 memories would take two seconds.
"""
_GET = sql.SQL("""
select {columns} from boring.memory_item
where path = boring.path_of(%(namespace)s) and key = %(key)s and {current}
""").format(columns=COLUMNS, current=CURRENT)
_LIST = sql.SQL("""
select {columns} from boring.memory_item
where {inside} and {current} and {filter}
order by updated_at desc, id limit %(limit)s offset %(offset)s
""")


async def got(connection: Connection, op: GetOp) -> DictRow | None:
    """Return the item that now stands under a key. What expires is kept as in `found`."""
    values = {"namespace": list(op.namespace), "key": op.key}
    row = await (await connection.execute(_GET, values)).fetchone()
    await _keep(connection, [] if row is None else [row], wanted=op.refresh_ttl)
    return row


async def found(
    connection: Connection,
    op: SearchOp,
    *,
    meaning: list[float] | None = None,
    model: str = "",
    ranking: Ranking = "both",
) -> list[DictRow]:
    """Return the items inside a namespace that fit a filter: the newest first, or the best for a question.

    What expires is kept for as long again, if that is wanted. Whoever uses the items counts that
    (`memory.store_uses`).

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
    fits = conditions.of(op.filter).as_string() if op.filter else EVERYTHING
    values: dict[str, Any] = {
        **conditions.values,
        "prefix": list(op.namespace_prefix),
        "limit": op.limit,
        "offset": op.offset,
    }
    if op.query:
        wanted = op._replace(query=op.query if ranking != "meaning" else "")
        rows = await _ranked(connection, wanted, Asked(model, meaning), fits=fits, values=values)
    else:
        statement = _listing(fits, is_inside=bool(op.namespace_prefix))
        rows = await (await connection.execute(statement, values)).fetchall()
    await _keep(connection, rows, wanted=op.refresh_ttl)
    return rows


@lru_cache(maxsize=100)
def _listing(fits: str, *, is_inside: bool) -> bytes:
    return _LIST.format(
        columns=COLUMNS, current=CURRENT, inside=inside(is_inside=is_inside), filter=as_written(fits)
    ).as_bytes()


async def _keep(connection: Connection, rows: Sequence[DictRow], *, wanted: bool) -> None:
    expiring = [row["id"] for row in rows if row["ttl_minutes"] is not None]
    if wanted and expiring:
        await connection.execute(_KEEP, (expiring,))


async def _ranked(
    connection: Connection, op: SearchOp, asked: Asked, *, fits: str, values: dict[str, Any]
) -> list[DictRow]:
    values |= {"query": op.query, "meaning": halfvec(asked.vector)}
    form = Form(
        asked.model, len(asked.vector or ()), fits, reach=min(10 + 2 * (op.limit + op.offset), _FARTHEST)
    )
    place, scope = op.namespace_prefix, None
    if asked.vector is None:
        await _require_words(connection, op.query or "", asked.model)
    else:
        scope = await indexed_scope(connection, place, op.query or "", form)
        if scope is not None:
            rows = await found_vast(connection, scope, form, values)
            if scope.is_old:
                await begin_indexing(connection, place)
            if rows is not None:
                return rows
    rows, size = await found_exactly(connection, form, values, labels=len(place))
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


def item(row: DictRow) -> Item:
    """Return what LangGraph sees of a row that was got."""
    return Item(**_fields(row))


def search_item(row: DictRow) -> SearchItem:
    """Return what LangGraph sees of a row that was found."""
    return SearchItem(**_fields(row), score=row.get("score"))


def _fields(row: DictRow) -> dict[str, Any]:
    fields: dict[str, Any] = {name: row[name] for name in ("key", "value", "created_at", "updated_at")}
    return fields | {"namespace": tuple(row["namespace"])}
