"""What a search by words asks at every row, as functions whose bodies Postgres puts in their places."""

import math
from itertools import accumulate

from alembic import op

revision = "0013"
down_revision = "0012"

_MOST = 255
"""How many places of a word a `tsvector` keeps."""


def upgrade() -> None:
    """Create the functions."""
    _create_term()
    _create_times()


def _create_term() -> None:
    op.execute("""
        create function boring.as_term(lexeme text) returns tsquery
        language sql immutable parallel safe
        return ('''' || replace(replace(lexeme, '\\', '\\\\'), '''', '''''') || '''')::tsquery
    """)


def _create_times() -> None:
    """Create the function that counts the places of one word in a text.

    With even weights `ts_rank` sums 1 / n^2 over the word's places, so it tells how many there are. Taking
    the vector apart to count them costs ten times as much.

    Source: PostgreSQL 18, src/backend/utils/adt/tsrank.c, calc_rank_or.
    """
    squares = [1 / n**2 for n in range(1, _MOST + 1)]
    reached = [0.0, *accumulate(squares)]
    steps = [(done + square / 2) * 6 / math.pi**2 for done, square in zip(reached, squares, strict=False)]
    listed = ",".join(map(repr, steps))
    op.execute(f"""
        create function boring.times_of(words tsvector, word tsquery) returns int
        language sql immutable parallel safe
        return width_bucket(ts_rank('{{1, 1, 1, 1}}', words, word)::float8, '{{{listed}}}'::float8[])
    """)
