"""What a search inside a namespace has to know beforehand: how large it is, and which indexes serve it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, LiteralString

from psycopg import sql

from memory.items import Connection
from memory.store_models import SERVED, OvertakenError, literal
from memory.store_terms import Form

LARGEST_INDEXED: Final = 4000
"""Numbers that a vector in an index may have. Source: pgvector 0.8, HNSW over `halfvec`."""
LEAST_COMMON: Final = 100
COMMON_SHARE: Final = 2000
"""A word is common if more memories than `LEAST_COMMON` and than one in `COMMON_SHARE` have it."""
_CANDIDATES: Final = 500
_MOST_BREADTH: Final = 1000
"""What `hnsw.ef_search` may be. Source: pgvector 0.8."""
SCOPE_OF_USER: Final[LiteralString] = """
tenant = %(tenant)s and (starts_with(path, %(place)s) or not exists (
    select from boring.memory_item as item
    where item.tenant = memory_scope.tenant and starts_with(item.path, memory_scope.path)
        and item.user_id <> %(user)s and not starts_with(item.path, %(place)s)))
"""
"""The condition that a scope holds nothing but a user's memories; see `memory.forgetting`."""
_FIND: LiteralString = f"""
with served as ({SERVED}), scope as (
    select served.model, served.dimensions, id, tenant, path, word_rows, word_length, counted_at, has_words,
        common || '{{}}' as common, greatest(%(least)s, word_rows / %(share)s) as rare
    from served left join boring.memory_scope as scope
        on path = case when %(prefix)s::text[] = '{{}}' then '' else boring.path_of(%(prefix)s) end
), word as (
    select lexeme, (common -> md5(lexeme))::bigint as count
    from scope, unnest(tsvector_to_array(to_tsvector('english', %(query)s))) as lexeme
), rarest as (
    select lexeme, row_number() over each as place, sum(coalesce(count, rare)) over each as items
    from word, scope window each as (order by coalesce(count, rare), lexeme)
), setting as (
    select set_config('boring.asked', coalesce(boring.as_query(array_agg(lexeme)), ''), true),
        set_config('hnsw.ef_search', %(breadth)s, true),
        set_config('hnsw.iterative_scan', 'strict_order', true),
        set_config('plan_cache_mode', 'force_generic_plan', true)
    from rarest where place = 1 or items <= %(candidates)s
)
select model, dimensions, id, tenant, path, word_rows, word_length,
    counted_at < now() - interval '1 day' as old,
    exists (select from pg_index where indisvalid
        and indexrelid = to_regclass('boring.memory_scope_' || id || '_' || %(made_by)s)) as by_meaning,
    has_words and exists (select from pg_index where indisvalid
        and indexrelid = to_regclass('boring.memory_words_' || id)) as by_words,
    (select coalesce(jsonb_object_agg(lexeme, count), '{{}}') from word) as asked
from scope, setting
"""  # noqa: S608 - made of constants
"""Where to search and by what, and the settings of the transaction that a search by indexes goes by.

`boring.asked` names the words that items are found by: the rarest of the question, for some number of items.
The numbers of `common` are put together with nothing, so that they are unpacked once and not for each word.
"""


@dataclass(frozen=True, slots=True)
class Scope:
    """A namespace, with all below it, that has indexes of its own.

    Attributes:
        id: the number in its indexes' names.
        tenant: whose it is.
        path: what the paths of its items begin with.
        word_rows: how many of its items have words, when that was last counted.
        word_length: how many words they have on average.
        asked: the words of the question, each with how many items have it; None, it is a rare one.
        is_old: whether it should be counted anew.
    """

    id: int
    tenant: str
    path: str
    word_rows: int
    word_length: float
    asked: Mapping[str, int | None]
    is_old: bool


def inside_scope(tenant: str, path: str) -> sql.Composable:
    """Return the condition that an item is current and in a tenant's scope, all in literals."""
    conditions = [sql.SQL("tenant = {}").format(literal(tenant)), sql.SQL("valid_to is null")]
    if path:
        conditions.append(sql.SQL("path >= {} and path < {}").format(literal(path), literal(path[:-1] + "/")))
    return sql.SQL(" and ").join(conditions)


def made_by(model: str, dimensions: int) -> str:
    """Return what stands for a model in the name of an index."""
    return hashlib.blake2b(f"{model}\0{dimensions}".encode(), digest_size=6).hexdigest()


async def indexed_scope(
    connection: Connection, prefix: tuple[str, ...], query: str, form: Form
) -> Scope | None:
    """Return the scope of a namespace if its indexes for a model can be searched, and prepare for that.

    Raises:
        OvertakenError: the memories of the connection's tenant go by another model.
    """
    model, dimensions = form.model, form.dimensions
    values = {
        "prefix": list(prefix),
        "query": query,
        "made_by": made_by(model, dimensions),
        "least": LEAST_COMMON,
        "share": COMMON_SHARE,
        "candidates": _CANDIDATES,
        "breadth": str(min(form.depth * 3 // 2, _MOST_BREADTH)),
    }
    row = await (await connection.execute(_FIND, values)).fetchone()
    if row is not None and (row["model"], row["dimensions"]) != (model, dimensions):
        raise OvertakenError(f"memories embedded by {row['model']!r} were asked by {model!r}")
    if row is None or not row["by_meaning"] or not row["by_words"]:
        return None
    return Scope(
        row["id"], row["tenant"], row["path"], row["word_rows"], row["word_length"], row["asked"], row["old"]
    )
