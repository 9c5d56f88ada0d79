"""The search that looks at everything in a namespace."""

from __future__ import annotations

import math
from itertools import accumulate
from typing import Any, LiteralString, cast

from psycopg import sql
from psycopg.rows import DictRow

from memory.items import Connection

_MOST_TIMES = 255
"""How many positions of a word a `tsvector` keeps."""
_SEARCH = sql.SQL("""
with asked as materialized (
    select lexemes, boring.as_query(lexemes)::tsquery as wanted
    from tsvector_to_array(to_tsvector('english', %(query)s)) as lexemes
), mine as materialized (
    select id, word_count, valid_from, uses,
        case when words @@ (select wanted from asked) then words || '' end as words,
        nullif(({vector} <=> %(meaning)s::halfvec)::float4, 'NaN') as distance
    from boring.memory_item where {inside} and {current} and {filter}
), corpus as materialized (
    select count(*) as rows, count(*) filter (where word_count > 0)::float8 as size,
        avg(nullif(word_count, 0))::float8 as length from mine
), term as materialized (
    select lexeme, boring.as_query(array[lexeme])::tsquery as term from asked, unnest(lexemes) as lexeme
), hit as materialized (
    select id, lexeme, word_count, {times} as times
    from mine cross join term where words is not null and words @@ term
), rarity as materialized (
    select lexeme, ln(1 + (size - count(*) + 0.5) / (count(*) + 0.5)) as weight
    from hit, corpus group by lexeme, size
), by_words as materialized (
    select id, rank() over (order by sum(weight * times * 2.2
        / (times + 1.2 * (0.25 + 0.75 * word_count / length)))::float4 desc) as place
    from hit join rarity using (lexeme), corpus group by id
), by_meaning as materialized (
    select id, valid_from, uses, distance, rank() over (order by distance) as place from mine
), candidate as materialized (
    select id from by_meaning where place <= %(reach)s union select id from by_words where place <= %(reach)s
), placed as (
    select id, valid_from, uses,
        case when distance is null then 0 else 30::float8 / (13 * (2 + by_meaning.place)) end
        + coalesce(9::float8 / (13 * (2 + by_words.place)), 0) as score
    from candidate join by_meaning using (id) left join by_words using (id)
    order by score desc, {day} desc, uses desc, valid_from desc, id limit %(limit)s offset %(offset)s
), best as (
    select {columns}, nullif(score, 0) as score,
        row_number() over (order by score desc, {day} desc, uses desc, valid_from desc, id) as place
    from (select id, score from placed) as placed join boring.memory_item using (id)
), touched as ({use})
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


def _times() -> sql.Composable:
    """Return the expression of how often the word of the query `term` stands in `words`.

    With even weights `ts_rank` sums 1 / n^2 over the word's places, so it tells how many there are. Taking
    the vector apart to count them costs ten times as much.

    Source: PostgreSQL 18, src/backend/utils/adt/tsrank.c, calc_rank_or.
    """
    squares = [1 / n**2 for n in range(1, _MOST_TIMES + 1)]
    reached = [0.0, *accumulate(squares)]
    steps = [(done + square / 2) * 6 / math.pi**2 for done, square in zip(reached, squares, strict=False)]
    listed = ",".join(map(repr, steps))
    return sql.SQL(
        cast(
            "LiteralString",
            f"width_bucket(ts_rank('{{1, 1, 1, 1}}', words, term)::float8, '{{{listed}}}'::float8[])",
        )
    )


TIMES = _times()


async def found_exactly(
    connection: Connection, parts: dict[str, Any], values: dict[str, Any]
) -> tuple[list[DictRow], int]:
    """Return the best items for a question, and how many there are to choose from.

    Args:
        connection: from `as_tenant`.
        parts: of the statement, as `memory.store_search` has them.
        values: of the search, with `reach`, the places of each ranking that can be among the best.
    """
    rows = await (await connection.execute(_SEARCH.format(**parts), values)).fetchall()
    return [row for row in rows if row["id"] is not None], rows[0]["rows"]
