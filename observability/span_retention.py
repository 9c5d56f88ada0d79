"""Retention of spans and of their counts: days of spans that are too old go whole, with their table."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from typing import Final, LiteralString

import psycopg
from psycopg.sql import SQL, Identifier

from core.database import Database
from core.settings import Settings

_PATIENCE: Final = "2s"
"""How long a day waits for what reads or writes spans; who comes later waits behind it."""
_DAYS: LiteralString = """
select part.relname as name, to_date(right(part.relname, 8), 'YYYYMMDD') as day,
    pg_total_relation_size(part.oid) as bytes
from pg_inherits join pg_class as part on part.oid = inhrelid
where inhparent = 'boring.span'::regclass and part.relname ~ '^span_[0-9]{8}$'
    and to_date(right(part.relname, 8), 'YYYYMMDD') < (now() at time zone 'UTC')::date - %s::int
order by 1
"""
_OLD_COUNTS: LiteralString = """
from boring.span_count where begins < date_trunc('day', now(), 'UTC') - case period
    when 'hour' then least(%(spans)s::int, %(counts)s::int) else %(counts)s::int end * interval '1 day'
"""
"""Nothing is less than null. Only lengths below two days are counted by hour, so hours go with the spans."""


@dataclass(frozen=True, slots=True)
class DroppedSpans:
    """What went of the spans, or would go.

    Attributes:
        days: how many days, of UTC.
        spans: how many spans of them.
        freed_bytes: what their tables and indexes took on disk.
        counts: how many rows of counts.
        busy: days that stay until the next time, since somebody was reading or writing spans for long.
    """

    days: int = 0
    spans: int = 0
    freed_bytes: int = 0
    busy: int = 0
    counts: int = 0


@dataclass(frozen=True, slots=True)
class TraceRetention:
    """What is kept of spans, in whole days before today, of UTC; None keeps all.

    Attributes:
        span_days: for how many days spans are kept, and their counts by hour.
        count_days: for how many days their counts by day are.
    """

    span_days: int | None = None
    count_days: int | None = None


def configured_trace_retention(settings: Settings) -> TraceRetention:
    """Return what the settings keep."""
    return TraceRetention(settings.retention_span_days, settings.retention_count_days)


async def drop_old_traces(database: Database, keep: TraceRetention, *, dry_run: bool = False) -> DroppedSpans:
    """Drop the spans of old days, and delete the counts of old days.

    Args:
        database: where they are.
        keep: what is not dropped.
        dry_run: change nothing, and tell what would be done.

    Raises:
        ValueError: less than a day is to be kept.
    """
    dropped = DroppedSpans()
    if keep.span_days is not None:
        dropped = await drop_old_spans(database, keep.span_days, dry_run=dry_run)
    return replace(dropped, counts=await _counts_dropped(database, keep, dry_run=dry_run))


async def drop_old_spans(database: Database, keep_days: int, *, dry_run: bool = False) -> DroppedSpans:
    """Drop the spans of days before so many, day by day; it may be stopped at any time.

    Args:
        database: where they are.
        keep_days: how many whole days before today, of UTC, are kept.
        dry_run: change nothing, and tell what would be done.

    Raises:
        ValueError: `keep_days` is less than 1.
    """
    if keep_days < 1:
        raise ValueError(f"spans of {keep_days} days can't be kept: expected 1 or more")
    async with database.pool.connection() as connection:
        rows = await (await connection.execute(_DAYS, (keep_days,))).fetchall()
    dropped = DroppedSpans()
    for row in rows:
        spans = await _dropped(database, row["name"], row["day"], dry_run=dry_run)
        if spans is None:
            dropped = replace(dropped, busy=dropped.busy + 1)
        else:
            dropped = replace(
                dropped,
                days=dropped.days + 1,
                spans=dropped.spans + spans,
                freed_bytes=dropped.freed_bytes + row["bytes"],
            )
    return dropped


async def _counts_dropped(database: Database, keep: TraceRetention, *, dry_run: bool) -> int:
    if keep.count_days is not None and keep.count_days < 1:
        raise ValueError(f"counts of {keep.count_days} days can't be kept: expected 1 or more")
    verb = SQL("select count(*) as many ") if dry_run else SQL("delete ")
    values = {"spans": keep.span_days, "counts": keep.count_days}
    async with database.pool.connection() as connection:
        done = await connection.execute(verb + SQL(_OLD_COUNTS), values)
        if not dry_run:
            return done.rowcount
        row = await done.fetchone()
        return row["many"] if row else 0


async def _dropped(database: Database, name: str, day: date, *, dry_run: bool) -> int | None:
    """Drop the table of a day; return how many spans it had, or None where it is in use."""
    table = Identifier("boring", name)
    try:
        async with database.pool.connection() as connection, connection.transaction():
            await connection.execute("select set_config('lock_timeout', %s, true)", (_PATIENCE,))
            found = await connection.execute(SQL("select count(*) as many from {}").format(table))
            row = await found.fetchone()
            if not dry_run:
                await connection.execute(SQL("drop table {}").format(table))
                await connection.execute("delete from boring.outlet where day <= %s", (day,))
    except psycopg.errors.LockNotAvailable:
        return None
    except psycopg.errors.UndefinedTable:
        return 0  # another sweep was faster
    return row["many"] if row else 0
