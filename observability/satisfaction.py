"""How content people are with runs: by day and agent, how many were rated and liked, and signals apart."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, LiteralString

from core.database import Database

LIKED: Final = 0.5
"""A run is liked if its score is not below this."""
_DAYS: LiteralString = """
select (began_at at time zone 'UTC')::date as day, agent, count(score) as rated,
    count(*) filter (where score >= %(liked)s) as liked,
    count(*) filter (where 'rephrased' = any(signals)) as rephrased,
    count(*) filter (where 'abandoned' = any(signals)) as abandoned,
    count(*) filter (where 'edited_approval' = any(signals)) as edited_approval
from boring.run_rating
where began_at > now() - %(since)s::interval and (%(tenant)s::text is null or tenant = %(tenant)s)
group by 1, 2 order by 1, 2
"""


@dataclass(frozen=True, slots=True)
class Satisfaction:
    """What was said of the runs that an agent began on a day.

    Attributes:
        day: of UTC, on which the runs began.
        rated: how many of them people gave a score.
        liked: how many of those have a score of 0.5 or more.
        rephrased: how many have this signal; a signal makes no run a rated one.
        abandoned: the same.
        edited_approval: the same.
    """

    day: date
    agent: str
    rated: int
    liked: int
    rephrased: int
    abandoned: int
    edited_approval: int


async def satisfaction(database: Database, *, since: timedelta, tenant: str | None) -> list[Satisfaction]:
    """Return what was said of the runs of a tenant, or of all, that began in a time, the oldest day first."""
    values = {"since": since, "tenant": tenant, "liked": LIKED}
    async with database.pool.connection() as connection:
        rows = await (await connection.execute(_DAYS, values)).fetchall()
    return [Satisfaction(**row) for row in rows]
