"""What became of spans, in the database: by outlet and day, of all processes together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, LiteralString

from core.database import Database
from observability.outlet import Outlet
from observability.sampling import Sampling

_ADD: LiteralString = """
insert into boring.outlet (name, delivered, dropped, left_out, problem, problem_at)
values (%(name)s, %(delivered)s, %(dropped)s, %(left_out)s, %(problem)s,
    case when %(problem)s <> '' then now() end)
on conflict (name, day) do update set
    delivered = outlet.delivered + excluded.delivered,
    dropped = outlet.dropped + excluded.dropped,
    left_out = outlet.left_out + excluded.left_out,
    problem = case when excluded.problem <> '' then excluded.problem else outlet.problem end,
    problem_at = coalesce(excluded.problem_at, outlet.problem_at)
"""
_FOUND: LiteralString = """
select name, sum(delivered)::bigint as delivered, sum(dropped)::bigint as dropped,
    sum(left_out)::bigint as left_out, max(problem_at) as problem_at,
    coalesce((array_agg(problem order by problem_at desc) filter (where problem <> ''))[1], '') as problem
from boring.outlet
where %(since)s::interval is null or day >= (now() at time zone 'UTC' - %(since)s::interval)::date
group by name order by name
"""


@dataclass(frozen=True, slots=True)
class OutletFigures:
    """What became of the spans for one place.

    Attributes:
        dropped: spans that were given up.
        left_out: spans of traces that were not in the share that is sent.
        problem: why some were last given up or held back.
    """

    name: str
    delivered: int
    dropped: int
    left_out: int
    problem: str
    problem_at: datetime | None


class OutletCounts:
    """Adds up what the outlets of this process count."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._told: dict[str, tuple[int, int, int]] = {}

    async def add(self, outlets: Sequence[tuple[Outlet[Any], Sampling | None]]) -> None:
        """Add what was counted since the last time."""
        changed: list[dict[str, object]] = []
        now: dict[str, tuple[int, int, int]] = {}
        for outlet, sampling in outlets:
            held = (sampling.dropped, sampling.left_out) if sampling else (0, 0)
            counts = (outlet.delivered, outlet.dropped + held[0], held[1])
            told = self._told.get(outlet.name, (0, 0, 0))
            if counts != told:
                now[outlet.name] = counts
                grown = [count - before for count, before in zip(counts, told, strict=True)]
                problem = outlet.problem if grown[1] else ""
                changed.append(
                    {
                        "name": outlet.name,
                        "problem": problem[:200],
                        **dict(zip(("delivered", "dropped", "left_out"), grown, strict=True)),
                    }
                )
        if changed:
            async with self._database.pool.connection() as connection, connection.cursor() as cursor:
                await cursor.executemany(_ADD, changed)
            self._told |= now


async def outlet_figures(database: Database, *, since: timedelta | None = None) -> list[OutletFigures]:
    """Return what became of spans, by outlet.

    Args:
        database: where it is counted.
        since: how far back, in whole days, from the time of the database.
    """
    async with database.pool.connection() as connection:
        rows = await (await connection.execute(_FOUND, {"since": since})).fetchall()
    return [OutletFigures(**row) for row in rows]
