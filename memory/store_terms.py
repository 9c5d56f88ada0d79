"""What the statements that search the long-term memory share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, LiteralString, cast

from psycopg import sql

UNEXPIRED: Final = sql.SQL("(expires_at is null or expires_at > now())")
CURRENT: Final = sql.SQL("valid_to is null and {}").format(UNEXPIRED)
EVERYTHING: Final = "true"
"""The condition of no filter, as it is written."""
DAY: Final = sql.SQL("(valid_from at time zone 'UTC')::date")


def inside(*, is_inside: bool) -> sql.Composable:
    """Return the condition that an item's namespace begins with the labels of `prefix`, or no condition.

    A path ends with a period, and what follows the period in the order of bytes is the slash.
    """
    if not is_inside:
        return sql.SQL("true")
    return sql.SQL(
        "path >= boring.path_of(%(prefix)s) and path < rtrim(boring.path_of(%(prefix)s), '.') || '/'"
    )


def as_written(condition: str) -> sql.SQL:
    """Return a condition that was composed before, and written out to be a key of what is kept."""
    return sql.SQL(cast("LiteralString", condition))


@dataclass(frozen=True, slots=True)
class Form:
    """What the text of a search depends on; searches of one form share a prepared statement.

    Attributes:
        model: of the embeddings that are compared.
        dimensions: how many numbers those have; 0, none are compared.
        fits: the condition that an item fits the filter, as it is written.
        reach: the places of each ranking that can be among the best.
        columns: what is read of an item, as it is written.
    """

    model: str
    dimensions: int
    fits: str
    reach: int
    columns: str

    @property
    def depth(self) -> int:
        """How many of the nearest are taken from an index over the vectors."""
        return self.reach + 10
