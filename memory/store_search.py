"""The statements that read items: one by its key, some by their place, the best for a question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal
from uuid import UUID

from langgraph.store.base import GetOp, Item, SearchItem, SearchOp
from psycopg import sql
from psycopg.rows import DictRow

from core.database import Database
from core.errors import ConfigurationError
from core.process import current_process
from core.tenants import Connection, Question, as_tenant, as_tenant_asking
from memory.items import COLUMNS, SHOWN
from memory.items_writing import halfvec
from memory.other_models import REEMBED
from memory.store_again import Place, found_again, note
from memory.store_building import begin_indexing
from memory.store_exact import found_exactly
from memory.store_filters import Conditions
from memory.store_models import NOTHING, Asked
from memory.store_scopes import scope_of, to_find
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
""").format(columns=SHOWN, current=CURRENT)
_LIST = sql.SQL("""
select {columns} from boring.memory_item
where {inside} and {current} and {filter}
order by updated_at desc, id limit %(limit)s offset %(offset)s
""")


async def got(connection: Connection, op: GetOp) -> DictRow | None:
    """Return the item that now stands under a key. What expires is kept as in `found`."""
    values = {"namespace": list(op.namespace), "key": op.key}
    row = await (await connection.execute(_GET, values)).fetchone()
    await _keep(connection, _expiring(op, [] if row is None else [row]))
    return row


async def found(
    connection: Connection,
    op: SearchOp,
    asked: Asked = NOTHING,
    *,
    ranking: Ranking = "both",
    columns: sql.SQL = COLUMNS,
) -> list[DictRow]:
    """Return the items inside a namespace that fit a filter: the newest first, or the best for a question.

    What expires is kept for as long again, if that is wanted. Whoever uses the items counts that
    (`memory.store_uses`).

    Args:
        connection: from `as_tenant`.
        op: the search.
        asked: its question as it is searched; without an embedding, it is ranked by words only.
        ranking: what a question is answered by.
        columns: what is read of an item; `SHOWN` at least.

    Raises:
        ConfigurationError: there is neither an embedding nor a word to go by.
        ValueError: the filter can't be read.
    """
    search = _search(op, asked, ranking, columns)
    row = None
    if search.finding is not None:
        row = await (await connection.execute(*search.finding)).fetchone()
    return await _found(connection, search, row)


async def found_alone(
    database: Database, tenant: str, op: SearchOp, asked: Asked = NOTHING, *, columns: sql.SQL = COLUMNS
) -> list[DictRow]:
    """Return what `found` does, in a transaction of its own, which is faster."""
    search = _search(op, asked, "both", columns)
    place = Place(tenant, op.namespace_prefix, search.form.model, search.form.dimensions)
    if search.finding is not None:
        rows = await found_again(database, place, search.finding, search.form, search.values)
        if rows is not None:
            if expiring := _expiring(op, rows):
                async with as_tenant(database, tenant, reading=True) as connection:
                    await _keep(connection, expiring)
            return rows
    async with as_tenant_asking(database, tenant, search.finding, reading=True) as (connection, row):
        return await _found(connection, search, row)


@dataclass(frozen=True, slots=True)
class _Search:
    """A search, composed.

    Attributes:
        op: what is wanted; without a question that nothing is ranked by.
        meaning: the embedding of the question.
        form: what the statement's text depends on.
        values: of the statement's parameters.
        finding: what has to be asked before, if there may be indexes.
    """

    op: SearchOp
    meaning: list[float] | None
    form: Form
    values: dict[str, Any]
    finding: Question | None


def _search(op: SearchOp, asked: Asked, ranking: Ranking, columns: sql.SQL) -> _Search:
    conditions = Conditions()
    fits = conditions.of(op.filter).as_string() if op.filter else EVERYTHING
    values: dict[str, Any] = {
        **conditions.values,
        "prefix": list(op.namespace_prefix),
        "limit": op.limit,
        "offset": op.offset,
    }
    reach = min(10 + 2 * (op.limit + op.offset), _FARTHEST)
    form = Form(asked.model, len(asked.vector or ()), fits, reach, columns.as_string())
    finding = None
    if op.query:
        query = op.query if ranking != "meaning" else ""
        values |= {"query": query, "meaning": halfvec(asked.vector)}
        if asked.vector is not None:
            finding = to_find(op.namespace_prefix, query, form)
    return _Search(op, asked.vector, form, values, finding)


async def _found(connection: Connection, search: _Search, row: DictRow | None) -> list[DictRow]:
    """Return what is found; `row` is the answer to `search.finding`."""
    op = search.op
    if op.query:
        rows = await _ranked(connection, search, row)
    else:
        statement = _listing(search.form.fits, search.form.columns, is_inside=bool(op.namespace_prefix))
        rows = await (await connection.execute(statement, search.values)).fetchall()
    await _keep(connection, _expiring(op, rows))
    return rows


@lru_cache(maxsize=100)
def _listing(fits: str, columns: str, *, is_inside: bool) -> bytes:
    return _LIST.format(
        columns=as_written(columns),
        current=CURRENT,
        inside=inside(is_inside=is_inside),
        filter=as_written(fits),
    ).as_bytes()


def _expiring(op: GetOp | SearchOp, rows: Sequence[DictRow]) -> list[UUID]:
    return [row["id"] for row in rows if op.refresh_ttl and row["ttl_minutes"] is not None]


async def _keep(connection: Connection, expiring: list[UUID]) -> None:
    if expiring:
        await connection.execute(_KEEP, (expiring,))


async def _ranked(connection: Connection, search: _Search, row: DictRow | None) -> list[DictRow]:
    op, form, values = search.op, search.form, search.values
    place, scope = op.namespace_prefix, None
    if search.meaning is None:
        await _require_words(connection, values["query"], form.model)
    else:
        scope = scope_of(row, form)
        if scope is not None:
            rows = await found_vast(connection, scope, form, values)
            if scope.is_old:
                await begin_indexing(connection, place)
            elif rows is not None:
                await note(Place(scope.tenant, place, form.model, form.dimensions), scope)
            if rows is not None:
                return rows
    rows, size = await found_exactly(connection, form, values, labels=len(place))
    exact_rows = (await current_process()).settings.memory_exact_rows
    is_small = scope is not None and not op.filter and size < exact_rows // 2
    if search.meaning is not None and (size > exact_rows or is_small):
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
