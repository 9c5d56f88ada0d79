"""The table of circuit breakers: each change is one statement, by the clock of the database.

The rules are those of `guardrails.breaking`; a test holds the two together.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from psycopg.sql import SQL, Composed, Literal

from core.database import Database
from guardrails.breaking import COOLDOWN_S, MAX_COOLDOWN_S, PROBE_LIMIT_S, THRESHOLD, BreakerCondition

CHANNEL: Final = "boring_breaker"
"""Where changes are announced, with the breaker's name."""
PATIENCE_S: Final = 2.0
"""Most seconds that a breaker waits for a connection."""
_COLUMNS: Final = SQL(
    "name, state, failures, cooldown_s, reopen_at, last_error, changed_at, "
    "extract(epoch from reopen_at - clock_timestamp())::float8 as reopen_in_s"
)
# Of the failures that open nothing, only the first is told: others need to know that there was one.
_FAILED: Final = SQL("""
with changed as (
    insert into boring.breaker as old (name, state, failures, cooldown_s, last_error)
    values (%(name)s, 'closed', 1, %(cooldown_s)s, %(error)s)
    on conflict (name) do update set
        failures = old.failures + 1,
        last_error = excluded.last_error,
        (state, cooldown_s, reopen_at, changed_at) = (
            select 'open', s, clock_timestamp() + make_interval(secs => s),
                   case when old.state = 'closed' then clock_timestamp() else old.changed_at end
            from (select case when old.state = 'closed' then %(cooldown_s)s
                         else least(2 * old.cooldown_s, %(max_cooldown_s)s) end::float8 as s) as next
            where old.state = 'half_open' or old.failures + 1 >= %(threshold)s
            union all
            select 'closed', old.cooldown_s, null, old.changed_at
            where old.state = 'closed' and old.failures + 1 < %(threshold)s
        )
    where old.state <> 'open'
    returning *
)
select {columns}, case when failures = 1 or state = 'open' then pg_notify({channel}, name)::text end
from changed
""").format(columns=_COLUMNS, channel=Literal(CHANNEL))
_SUCCEEDED: Final = SQL("""
with changed as (
    update boring.breaker set state = 'closed', failures = 0, cooldown_s = %(cooldown_s)s, reopen_at = null,
           changed_at = case when state = 'closed' then changed_at else clock_timestamp() end
    where name = %(name)s and state <> 'open' and failures > 0
    returning *
)
select {columns}, pg_notify({channel}, name)::text from changed
""").format(columns=_COLUMNS, channel=Literal(CHANNEL))
_PROBE: Final = SQL("""
with changed as (
    update boring.breaker
    set state = 'half_open', reopen_at = clock_timestamp() + make_interval(secs => %(probe_limit_s)s)
    where name = %(name)s and state <> 'closed' and reopen_at <= clock_timestamp()
    returning *
)
select {columns}, pg_notify({channel}, name)::text from changed
""").format(columns=_COLUMNS, channel=Literal(CHANNEL))
_GIVEN_BACK: Final = SQL("""
with changed as (
    update boring.breaker set state = 'open', reopen_at = clock_timestamp()
    where name = %(name)s and state = 'half_open' and reopen_at = %(reopen_at)s
    returning *
)
select {columns}, pg_notify({channel}, name)::text from changed
""").format(columns=_COLUMNS, channel=Literal(CHANNEL))
_NAMED: Final = SQL("select {columns} from boring.breaker where name = any(%(names)s)").format(
    columns=_COLUMNS
)
_ALL: Final = SQL("select {columns} from boring.breaker order by name").format(columns=_COLUMNS)
_NUMBERS: Final[dict[str, Any]] = {
    "cooldown_s": COOLDOWN_S,
    "max_cooldown_s": MAX_COOLDOWN_S,
    "threshold": THRESHOLD,
    "probe_limit_s": PROBE_LIMIT_S,
}


@dataclass(frozen=True, slots=True)
class BreakerState:
    """A breaker as the database holds it.

    Attributes:
        failures: in a row.
        reopen_at: when the next probe may be let through; None while closed.
        last_error: of the newest failure, kept after recovery.
        changed_at: since when calls pass, or since when they don't.
        reopen_in_s: seconds until `reopen_at`, counted from the time of reading.
    """

    name: str
    state: BreakerCondition
    failures: int
    cooldown_s: float
    reopen_at: datetime | None
    last_error: str | None
    changed_at: datetime
    reopen_in_s: float | None


class BreakerTable:
    """The breakers of all processes. Every method raises `psycopg.Error` where the database is away."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def failed(self, name: str, error: str) -> BreakerState | None:
        """Count a failure; None where the breaker is open already."""
        return await self._written(_FAILED, name, error=error)

    async def succeeded(self, name: str) -> BreakerState | None:
        """Close a breaker; None where it is open, or had no failure."""
        return await self._written(_SUCCEEDED, name)

    async def probed(self, name: str) -> BreakerState | None:
        """Let one call through, if its time has come; None where none may be."""
        return await self._written(_PROBE, name)

    async def given_back(self, name: str, reopen_at: datetime | None) -> BreakerState | None:
        """Let another probe follow the one that was to end by `reopen_at`; None where that is over."""
        return await self._written(_GIVEN_BACK, name, reopen_at=reopen_at)

    async def named(self, names: list[str]) -> list[BreakerState]:
        """Return those of `names` that there are."""
        return await self._query(_NAMED, names=names)

    async def all(self) -> list[BreakerState]:
        """Return all breakers by name."""
        return await self._query(_ALL)

    async def _written(self, statement: Composed, name: str, **values: Any) -> BreakerState | None:
        rows = await self._query(statement, **_NUMBERS, name=name, **values)
        return rows[0] if rows else None

    async def _query(self, statement: Composed, **values: Any) -> list[BreakerState]:
        async with self._database.pool.connection(PATIENCE_S) as connection:
            rows = await (await connection.execute(statement, values)).fetchall()
        return [BreakerState(**{key: row[key] for key in BreakerState.__slots__}) for row in rows]
