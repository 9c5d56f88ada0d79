"""The search in a namespace that has indexes of its own."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from psycopg import sql
from psycopg.rows import DictRow

from core.database import literal
from core.tenants import Connection
from memory.store_models import vector_by
from memory.store_scopes import Scope, inside_scope
from memory.store_terms import DAY, EVERYTHING, UNEXPIRED, Form, as_written

DEEPEST: Final = 400
"""Most places of each ranking that are fused by way of the indexes."""
_MOST_WORDED: Final = 2000
"""Most items with a word of the question that are looked at."""
_SEARCH = sql.SQL("""
with near as materialized (
    select id, valid_from, uses, {vector} <=> %(meaning)s::halfvec({dimensions}) as distance
    from boring.memory_item where {inside} and {unexpired} and {filter}
    order by {vector}::halfvec({dimensions}) <=> %(meaning)s::halfvec({dimensions}) limit {depth}
), term as materialized (
    select number, boring.as_term(lexeme) as term, count as common
    from unnest(current_setting('boring.lexemes')::text[], current_setting('boring.counts')::bigint[])
        with ordinality as each (lexeme, count, number)
), hit as materialized (
    select item, number, common, word_count, boring.times_of(words, term) as times
    from (select item, words, word_count from boring.memory_words
        where tenant = {tenant} and scope = {scope} limit {most}) as worded
    cross join term where words @@ term
), rarity as materialized (
    select number, ln(1 + (greatest(%(rows)s, n) - n + 0.5) / (n + 0.5)) as weight
    from (select number, coalesce(common, count(*))::float8 as n from hit group by number, common) as each
), worth as materialized (
    select item as id, sum(weight * times * 2.2
        / (times + 1.2 * (0.25 + 0.75::float8 * word_count / %(length)s)))::float4 as worth
    from hit join rarity using (number) group by item order by worth desc limit {worded}
), by_words as materialized (
    select id, valid_from, uses, {vector} <=> %(meaning)s::halfvec({dimensions}) as distance,
        rank() over (order by worth desc) as place
    from worth join boring.memory_item using (id) where {inside} and {unexpired} and {filter}
), candidate as (
    select id, valid_from, uses, distance, rank() over (order by distance) as place from (
        select id, valid_from, uses, distance from near
        union select id, valid_from, uses, distance from by_words where place <= {reach}
    ) as each
), placed as (
    select id, valid_from, uses,
        case when distance is null then 0 else 30::float8 / (13 * (2 + candidate.place)) end
        + coalesce(9::float8 / (13 * (2 + worded.place)), 0) as score
    from candidate left join (select id, place from by_words) as worded using (id)
    order by score desc, {day} desc, uses desc, valid_from desc, id limit %(limit)s offset %(offset)s
)
select {columns}, nullif(score, 0) as score, (select count(*) from near) as near,
    (select count(*) from by_words) as by_words, (select count(*) from worth) as worth
from (select id, score from placed) as placed join boring.memory_item using (id)
order by placed.score desc, {day} desc, uses desc, valid_from desc, id
""")
"""The nearest by an index over the vectors, the best by an index over the words, fused as elsewhere.

Words that are common are counted when the namespace is; memories that have none but the commonest words of a
question are not ranked by words.
"""


async def found_vast(
    connection: Connection, scope: Scope, form: Form, values: Mapping[str, Any]
) -> list[DictRow] | None:
    """Return the best items for a question, or None if the indexes don't show enough of them.

    Args:
        connection: from `as_tenant`.
        scope: where to search; its indexes are ready.
        form: of the search.
        values: of the search.
    """
    if form.depth > DEEPEST:
        return None
    statement = vast_statement(form, scope.tenant, scope.path, scope.id)
    return enough(await (await connection.execute(statement, given_in(scope, values))).fetchall(), form)


def given_in(scope: Scope, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of the statement's parameters."""
    return {**values, "rows": float(scope.word_rows), "length": scope.word_length}


def enough(rows: list[DictRow], form: Form) -> list[DictRow] | None:
    """Return what the statement found, or None if the indexes don't show enough of the items."""
    if not rows or rows[0]["near"] < form.depth:
        return None
    left_out = rows[0]["worth"] - rows[0]["by_words"]  # expired, or not what the filter wants
    return None if left_out and rows[0]["by_words"] < form.reach else rows


@lru_cache(maxsize=100)
def vast_statement(form: Form, tenant: str, path: str, number: int) -> bytes:
    """Return the search inside a scope; what is planned by stands in it, so that it is planned once."""
    return _SEARCH.format(
        columns=as_written(form.columns),
        day=DAY,
        unexpired=UNEXPIRED,
        vector=vector_by(form.model, form.dimensions),
        dimensions=sql.Literal(form.dimensions),
        inside=inside_scope(tenant, path),
        tenant=literal(tenant),
        scope=sql.Literal(number),
        filter=as_written(form.fits),
        depth=sql.Literal(form.depth),
        reach=sql.Literal(form.reach),
        most=sql.Literal(_MOST_WORDED),
        worded=sql.Literal(form.depth if form.fits == EVERYTHING else _MOST_WORDED),
    ).as_bytes()
