"""The statements that read items: one by its key, some by their place, the best for a question."""

from __future__ import annotations

from typing import Any

from langgraph.store.base import GetOp, Item, SearchItem, SearchOp
from psycopg import sql
from psycopg.rows import DictRow

from core.errors import ConfigurationError
from memory.items import COLUMNS, Connection
from memory.items_writing import halfvec
from memory.store_filters import Conditions

_CURRENT = sql.SQL("valid_to is null and (expires_at is null or expires_at > now())")
_DAY = sql.SQL("(valid_from at time zone 'UTC')::date")
_USE = sql.SQL("""
update boring.memory_item set uses = uses + 1, expires_at = case when {refresh} and ttl_minutes is not null
    then now() + make_interval(secs => 60 * ttl_minutes) else expires_at end
where id in (select id from boring.memory_item where id in (select id from best) for update skip locked)
""")
"""A row that another reader is counting at this moment is left to it, so that readers never wait."""
_KEEP = sql.SQL("""
update boring.memory_item set expires_at = now() + make_interval(secs => 60 * ttl_minutes)
where {refresh} and ttl_minutes is not null
    and id in (select id from boring.memory_item where id in (select id from best) for update skip locked)
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
_SEARCH = sql.SQL("""
with asked as materialized (
    select lexemes, array_to_string(array(
        select '''' || replace(replace(l, '\\', '\\\\'), '''', '''''') || '''' from unnest(lexemes) as l
    ), ' | ')::tsquery as wanted
    from tsvector_to_array(to_tsvector('english', %(query)s)) as lexemes
), mine as materialized (
    select id, word_count, valid_from, uses, embedding_model, embedding_dimensions,
        case when words @@ (select wanted from asked) then words end as words,
        case when embedding_model = %(model)s and embedding_dimensions = %(dimensions)s
        then nullif((embedding <=> %(meaning)s::halfvec)::float4, 'NaN') end as distance
    from boring.memory_item where {inside} and {current} and {filter}
), corpus as materialized (
    select count(*) filter (where word_count > 0)::float8 as size,
        avg(nullif(word_count, 0))::float8 as length,
        count(*) filter (where foreign_made) as foreign_count,
        min(embedding_model) filter (where foreign_made) as foreign_model,
        min(embedding_dimensions) filter (where foreign_made) as foreign_dimensions
    from (select *, embedding_model is not null and distance is null
        and (embedding_model, embedding_dimensions) <> (%(model)s, %(dimensions)s) as foreign_made
        from mine) as each
), hit as materialized (
    select id, lexeme, cardinality(positions) as times, word_count
    from mine, unnest(words) where words is not null and lexeme = any((select lexemes from asked)::text[])
), rarity as (
    select lexeme, ln(1 + (size - count(*) + 0.5) / (count(*) + 0.5)) as weight
    from hit, corpus group by lexeme, size
), by_words as (
    select id, rank() over (order by sum(weight * times * 2.2
        / (times + 1.2 * (0.25 + 0.75 * word_count / length)))::float4 desc) as place
    from hit join rarity using (lexeme), corpus group by id
), by_meaning as (
    select id, valid_from, uses, distance, rank() over (order by distance) as place from mine
), placed as (
    select id, valid_from, uses,
        case when distance is null then 0 else 5.5::float8 / (10 + by_meaning.place) end
        + coalesce(5.5::float8 / (10 + by_words.place), 0) as score
    from by_meaning left join by_words using (id)
    order by score desc, {day} desc, uses desc, valid_from desc, id limit %(limit)s offset %(offset)s
), best as (
    select {columns}, nullif(score, 0) as score,
        row_number() over (order by score desc, {day} desc, uses desc, valid_from desc, id) as place
    from (select id, score from placed) as placed join boring.memory_item using (id)
), touched as ({use})
select best.*, foreign_count, foreign_model, foreign_dimensions
from corpus left join best on true order by place
""")
"""Two exact rankings inside a namespace, by cosine distance and by BM25, fused by reciprocal rank.

The score is 1 for what is first by both, and null for what has no text. Among equals the newer day comes
first, then what was used more. The constant 10 is the one that searching documents has.

Source: Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009, with k1 = 1.2
and b = 0.75; Cormack, Clarke and Buettcher, "Reciprocal Rank Fusion", SIGIR 2009.
"""


async def got(connection: Connection, op: GetOp) -> Item | None:
    """Return the item that now stands under a key."""
    statement = _GET.format(
        columns=COLUMNS, current=_CURRENT, use=_USE.format(refresh=sql.Literal(op.refresh_ttl))
    )
    values = {"namespace": list(op.namespace), "key": op.key}
    row = await (await connection.execute(statement, values)).fetchone()
    return None if row is None else Item(**_fields(row))


async def found(
    connection: Connection, op: SearchOp, *, meaning: list[float] | None = None, model: str = ""
) -> list[DictRow]:
    """Return the items inside a namespace that fit a filter: the newest first, or the best for a question.

    Args:
        connection: from `as_tenant`.
        op: the search.
        meaning: the embedding of its question; None, it has none.
        model: which the embedding came from.

    Raises:
        ConfigurationError: items there were embedded by another model.
        ValueError: the filter can't be read.
    """
    conditions = Conditions()
    refresh = sql.Literal(op.refresh_ttl)
    parts = {
        "columns": COLUMNS,
        "day": _DAY,
        "inside": inside(len(op.namespace_prefix)),
        "current": _CURRENT,
        "filter": conditions.of(op.filter),
        "use": _USE.format(refresh=refresh),
        "keep": _KEEP.format(refresh=refresh),
    }
    values: dict[str, Any] = {
        **conditions.values,
        "prefix": list(op.namespace_prefix),
        "limit": op.limit,
        "offset": op.offset,
    }
    if meaning is None:
        return await (await connection.execute(_LIST.format(**parts), values)).fetchall()
    values |= {"query": op.query, "meaning": halfvec(meaning), "model": model, "dimensions": len(meaning)}
    rows = await (await connection.execute(_SEARCH.format(**parts), values)).fetchall()
    _check_made_by(rows[0], model, len(meaning))
    return [row for row in rows if row["id"] is not None]


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


def _check_made_by(row: DictRow, model: str, dimensions: int) -> None:
    if row["foreign_count"]:
        raise ConfigurationError(
            f"{row['foreign_count']} memories in this namespace were embedded by {row['foreign_model']!r}"
            f" with {row['foreign_dimensions']} dimensions, and questions are by {model!r} with {dimensions}:"
            " they can't be compared. Set BORING_EMBEDDING_MODEL and BORING_EMBEDDING_BASE_URL back, or have"
            " the memories embedded anew: `await memory.store_reembedding.reembed(tenant)`."
        )


def _fields(row: DictRow) -> dict[str, Any]:
    fields: dict[str, Any] = {name: row[name] for name in ("key", "value", "created_at", "updated_at")}
    return fields | {"namespace": tuple(row["namespace"])}
