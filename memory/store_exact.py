"""The search that looks at everything in a namespace."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from psycopg import sql
from psycopg.rows import DictRow

from core.tenants import Connection
from memory.store_models import vector_by
from memory.store_terms import CURRENT, DAY, Form, as_written, inside

_SEARCH = sql.SQL("""
with asked as materialized (
    select lexemes, boring.as_query(lexemes)::tsquery as wanted
    from tsvector_to_array(to_tsvector('english', %(query)s)) as lexemes
), mine as materialized (
    select id, word_count, valid_from, uses,
        case when words @@ (select wanted from asked) then words || '' end as words,
        nullif(({vector} <=> %(meaning)s::halfvec)::float4, 'NaN') as distance
    from boring.memory_item where {inside} and {current} and {filter}
), ladder as materialized (
    select count(*) as rows, count(*) filter (where word_count > 0)::float8 as size,
        avg(nullif(word_count, 0))::float8 as length, count(distance) as steps,
        array_agg(-distance::float8 order by -distance::float8) filter (where distance is not null) as ladder
    from mine
), corpus as materialized (
    select *, coalesce(-ladder[steps - {reach} + 1], 'Infinity') as edge from ladder
), term as materialized (
    select lexeme, boring.as_term(lexeme) as term from asked, unnest(lexemes) as lexeme
), worded as materialized (
    select id, word_count, words from mine where words is not null
), hit as materialized (
    select id, lexeme, word_count, boring.times_of(words, term) as times
    from worded cross join term where words @@ term
), rarity as materialized (
    select lexeme, ln(1 + (size - count(*) + 0.5) / (count(*) + 0.5)) as weight
    from hit, corpus group by lexeme, size
), by_words as materialized (
    select id, rank() over (order by sum(weight * times * 2.2
        / (times + 1.2 * (0.25 + 0.75 * word_count / length)))::float4 desc) as place
    from hit join rarity using (lexeme), corpus group by id
), candidate as materialized (
    select id, valid_from, uses, distance, by_words.place as by_words
    from mine left join by_words using (id), corpus
    where coalesce(distance, 'Infinity') <= edge or by_words.place <= {reach}
), placed as (
    select id, valid_from, uses,
        coalesce(30::float8 / (13 * (3 + steps - width_bucket(-distance::float8, ladder))), 0)
        + coalesce(9::float8 / (13 * (2 + by_words)), 0) as score
    from candidate, corpus
    order by score desc, {day} desc, uses desc, valid_from desc, id limit %(limit)s offset %(offset)s
), best as (
    select {columns}, nullif(score, 0) as score,
        row_number() over (order by score desc, {day} desc, uses desc, valid_from desc, id) as place
    from (select id, score from placed) as placed join boring.memory_item using (id)
)
select best.*, corpus.rows from corpus left join best on true order by place
""")
"""Two exact rankings inside a namespace, by cosine distance and by BM25, fused by reciprocal rank.

The score is 1 for what is first by both, and null for what has no text. Among equals the newer day comes
first, then what was used more. A place by words counts 0.3 of one by meaning, and the constant is 2: the best
of the pairs tried on one half of the questions of `benchmarks.memory_questions`. So what is first by words
ranks like what is eighth by meaning. What is among the best K has one place of at most
10 + 2 K: from K places by meaning come scores that two later places can't reach together.

Source: Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009, with k1 = 1.2
and b = 0.75; Cormack, Clarke and Buettcher, "Reciprocal Rank Fusion", SIGIR 2009.
"""


async def found_exactly(
    connection: Connection, form: Form, values: dict[str, Any], *, labels: int
) -> tuple[list[DictRow], int]:
    """Return the best items for a question, and how many there are to choose from.

    Args:
        connection: from `as_tenant`.
        form: of the search.
        values: of the search.
        labels: how many the namespace has that is searched.
    """
    statement = _statement(form, is_inside=labels > 0)
    rows = await (await connection.execute(statement, values)).fetchall()
    return [row for row in rows if row["id"] is not None], rows[0]["rows"]


@lru_cache(maxsize=100)
def _statement(form: Form, *, is_inside: bool) -> bytes:
    return _SEARCH.format(
        columns=as_written(form.columns),
        day=DAY,
        current=CURRENT,
        vector=vector_by(form.model, form.dimensions),
        inside=inside(is_inside=is_inside),
        filter=as_written(form.fits),
        reach=sql.Literal(form.reach),
    ).as_bytes()
