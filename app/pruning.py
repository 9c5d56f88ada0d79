"""The command that deletes what is not to be kept of threads and of spans: prune."""

from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from app.asking import JsonOption
from app.json_output import write_json
from app.running import run
from app.since import time_span
from core.errors import ConfigurationError
from core.settings import settings
from core.trace_settings import MOST_DAYS

if TYPE_CHECKING:
    from memory.retention import Retention, Swept
    from observability.span_retention import DroppedSpans, TraceRetention

IdleOption = Annotated[
    timedelta | None,
    typer.Option(
        parser=time_span,
        metavar="TIME",
        help="Delete threads that nobody has used for 90s, 30m, 1h, 7d, 2w.",
        show_default="BORING_RETENTION_IDLE_DAYS",
    ),
]
KeepOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="MANY",
        help="Keep that many of the newest checkpoints of each thread.",
        show_default="BORING_RETENTION_CHECKPOINTS",
    ),
]
SpanDaysOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=MOST_DAYS,
        metavar="MANY",
        help="Delete the spans of days before so many.",
        show_default="BORING_RETENTION_SPAN_DAYS",
    ),
]
CountDaysOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=MOST_DAYS,
        metavar="MANY",
        help="Delete the counts of spans, which charts and sums are made of, of days before so many.",
        show_default="BORING_RETENTION_COUNT_DAYS",
    ),
]


def prune(  # noqa: PLR0913 - each is an option of the command line
    *,
    idle: IdleOption = None,
    keep: KeepOption = None,
    span_days: SpanDaysOption = None,
    count_days: CountDaysOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would go.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Delete threads that are idle, the oldest checkpoints of those in use, and spans and counts of old days.

    A thread whose last run is not over stays, and so does one that is being used.
    """
    from memory.retention import Retention, configured_retention  # noqa: PLC0415 - commands import what they need when they run
    from observability.span_retention import TraceRetention, configured_trace_retention  # noqa: PLC0415

    set_up = configured_retention(settings())
    retention = Retention(idle or set_up.idle, keep or set_up.checkpoints)
    of_traces = configured_trace_retention(settings())
    traces = TraceRetention(span_days or of_traces.span_days, count_days or of_traces.count_days)
    if retention == Retention() and traces == TraceRetention():
        raise ConfigurationError(
            "Nothing says what is not to be kept. Give --idle 90d, --keep 100, --span-days 30, --count-days "
            "400 or several, or set BORING_RETENTION_IDLE_DAYS, BORING_RETENTION_CHECKPOINTS, "
            "BORING_RETENTION_SPAN_DAYS or BORING_RETENTION_COUNT_DAYS."
        )
    swept, dropped = run(_swept(retention, traces, dry_run=dry_run), go_on_with="boring prune")
    if as_json:
        told = {
            **({} if retention == Retention() else asdict(swept)),
            **({} if dropped is None else {"traces": asdict(dropped)}),
        }
        write_json({**told, "dry_run": dry_run})
        return
    console, would = Console(soft_wrap=True), "would be " if dry_run else ""
    if retention != Retention():
        console.print(_of_threads(swept, would), highlight=False)
    if dropped is not None:
        console.print(_of_spans(dropped, would), highlight=False)


def _of_threads(swept: "Swept", would: str) -> str:
    return (
        f"{swept.deleted} threads {would}deleted, {swept.pruned} {would}pruned: {swept.checkpoints} "
        f"checkpoints, {swept.freed_bytes / 1e6:.1f} MB\n"
        f"{swept.waiting} idle threads stay, since their last run is not over; {swept.busy} are in use"
    )


def _of_spans(dropped: "DroppedSpans", would: str) -> str:
    busy = f"\n{dropped.busy} days stay, since their spans are in use" if dropped.busy else ""
    return (
        f"{dropped.days} days of spans {would}deleted: {dropped.spans} spans, "
        f"{dropped.freed_bytes / 1e6:.1f} MB, {dropped.counts} counts{busy}"
    )


async def _swept(
    retention: "Retention", traces: "TraceRetention", *, dry_run: bool
) -> "tuple[Swept, DroppedSpans | None]":
    from core.process import opened_process  # noqa: PLC0415 - commands import what they need when they run
    from memory.retention import Retention, Swept, sweep  # noqa: PLC0415
    from observability.span_retention import TraceRetention, drop_old_traces  # noqa: PLC0415

    async with opened_process() as process:
        swept, dropped = Swept(), None
        if retention != Retention():
            swept = await sweep(retention, dry_run=dry_run)
        if traces != TraceRetention():
            dropped = await drop_old_traces(await process.database(), traces, dry_run=dry_run)
        return swept, dropped
