"""Spans made again from their rows, and sent on later: those of a run that somebody has rated."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, LiteralString

from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from core.process import current_process
from observability import names
from observability.sampling import in_share
from observability.span_store import COLUMNS
from observability.tracing import current_tracing

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

_SPANS: LiteralString = "select * from boring.span where run_id = %s order by started_at, span_id"
_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)


async def export_run(run_id: str) -> int:
    """Send the traces of a run that were left out so far to the places that `BORING_TRACES` names.

    Returns:
        How many spans are on their way. None are where every trace of it was in the share, or had an error.

    Raises:
        ConfigurationError: the settings of a place for traces can't be used.
    """
    process, tracing = await current_process(), await current_tracing()
    sampled = [way.outlet for way in tracing.ways if way.sampling]
    if not sampled:
        return 0
    await tracing.ways[0].outlet.flush()
    database = await process.database()
    async with database.pool.connection() as connection:
        rows = await (await connection.execute(_SPANS, (run_id,))).fetchall()
    share = process.settings.traces_sample
    sent = {row["trace_id"] for row in rows if row["status"] == "error"}
    left_out = [
        tracing.room.taken_in(span_of(row))
        for row in rows
        if row["trace_id"] not in sent and not in_share(int(row["trace_id"], 16), share)
    ]
    for outlet in sampled:
        for span in left_out:
            outlet.put(span)
    return len(left_out)


def span_of(row: Mapping[str, Any]) -> ReadableSpan:
    """Return the span that a row was made of, to a microsecond; its cost is an attribute."""
    from opentelemetry.sdk.trace import Event, ReadableSpan  # noqa: PLC0415 - loaded by the tracing

    begun = _nanoseconds(row["started_at"])
    attributes = {**row["attributes"]}
    for name, column in COLUMNS.items():
        if row[column] is not None and (name, row[column]) != (names.OPERATION, names.RUN_STEP):
            attributes[name] = row[column]
    if row["thread_id"]:
        attributes[names.SESSION] = row["thread_id"]
    if row["model"]:
        attributes[names.REQUEST_MODEL] = row["model"]
    if row["cost_usd"] is not None:
        attributes[names.COST] = float(row["cost_usd"])
    events = [{**event} for event in row["events"]]
    parent = row["parent_id"] and context_named(f"{row['trace_id']}-{row['parent_id']}")
    return ReadableSpan(
        name=row["name"],
        context=context_named(f"{row['trace_id']}-{row['span_id']}"),
        parent=parent or None,
        attributes=attributes,
        events=[Event(event.pop("name"), timestamp=event.pop("at_ns"), attributes=event) for event in events],
        links=[Link(context_named(link)) for link in row["links"]],
        kind=SpanKind.CLIENT if row["operation"] == names.CHAT else SpanKind.INTERNAL,
        status=Status(StatusCode.ERROR, row["error_type"]) if row["status"] == "error" else Status(),
        start_time=begun,
        end_time=begun + round(row["duration_ms"] * 1e6),
    )


def context_named(name: str) -> SpanContext:
    """Return the context of a span of this database that is named by its trace and itself: `trace-span`."""
    trace_id, _, span_id = name.partition("-")
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=False, trace_flags=_SAMPLED)


def _nanoseconds(time: datetime) -> int:
    whole = int(time.timestamp())
    return whole * 10**9 + time.microsecond * 1000
