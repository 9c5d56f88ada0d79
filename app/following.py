"""`--follow` of the commands that show runs and traces: what is new, a line each, until Ctrl-C."""

import asyncio
import sys
from collections.abc import Coroutine
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.text import Text

from app.calls import one_line
from app.exits import INTERRUPTED
from app.json_output import write_json
from app.trace_tree import dollars, said_in, span_label
from app.traces import run_called

if TYPE_CHECKING:
    from observability.trace_log import RunFigures, SpanRow, WantedRuns

_DEPTHS = {"invoke_agent": 0, "run_step": 1}
_COLOURS = {"running": "cyan", "interrupted": "yellow", "failed": "red", "finished": "green"}


def follow_runs(wanted: "WantedRuns", limit: int, *, as_json: bool) -> None:
    """Show runs as they begin and as their statuses change, for ever."""
    _followed(_runs(wanted, limit, as_json=as_json))


def follow_trace(run_id: str, *, with_content: bool, as_json: bool) -> None:
    """Show spans of a run as they end, until it is over.

    Raises:
        InputError: there is no such run, or more than one.
    """
    _followed(_trace(run_id, with_content=with_content, as_json=as_json))


def _followed(work: Coroutine[Any, Any, None]) -> None:
    try:
        asyncio.run(work)
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


async def _runs(wanted: "WantedRuns", limit: int, *, as_json: bool) -> None:
    from core.process import opened_process  # noqa: PLC0415 - commands import what they need when they run
    from observability.following import followed_runs  # noqa: PLC0415

    async with opened_process() as process:
        async for runs in followed_runs(await process.database(), wanted, limit=limit):
            for one in runs:
                _write(asdict(one) if as_json else _run_line(one))


async def _trace(run_id: str, *, with_content: bool, as_json: bool) -> None:
    from core.process import opened_process  # noqa: PLC0415 - commands import what they need when they run
    from observability.following import followed_run  # noqa: PLC0415

    told = ""
    async with opened_process() as process:
        database = await process.database()
        one = await run_called(database, run_id)
        async for run, spans in followed_run(database, one, with_content=with_content):
            for span in spans:
                for told_of_it in [{"span": asdict(span)}] if as_json else _span_lines(span):
                    _write(told_of_it)
            if run.status != told:
                _write({"run": asdict(run)} if as_json else _status_line(run))
            told = run.status


def _run_line(one: "RunFigures") -> Text:
    return Text.assemble(
        f"{_clock(one.finished_at or one.started_at)}  ",
        (f"{one.status:<11}  ", _COLOURS.get(one.status, "")),
        f"{one_line(one.graph):<12}  ",
        (one_line(one.run_id), "dim"),
        f"  {_took(one)}  {one_line(one.question or '')}",
    )


def _status_line(one: "RunFigures") -> Text:
    told = f"{_took(one)}  {one_line(one.run_id)}"
    if one.status == "interrupted":
        told = (
            "waits for a person; see what it asks with: boring approvals, or boring resume "
            f"{one_line(one.thread_id)}"
        )
    at = f"{_clock(one.finished_at)}  " if one.finished_at else ""
    return Text.assemble(at, (one.status, _COLOURS.get(one.status, "")), f"  {told}")


def _span_lines(one: "SpanRow") -> list[Text]:
    """Return a span's line, and below it what was asked and answered, where that was looked up."""
    ended = one.started_at + timedelta(milliseconds=one.duration_ms)
    depth = "  " * _DEPTHS.get(one.operation, 2)
    said = [
        Text.assemble("    " if number else "", line)
        for message in said_in(one)
        for number, line in enumerate(message.split("\n"))
    ]
    return [
        Text.assemble(f"{_clock(ended)}  {depth}", span_label(one)),
        *(Text.assemble(f"{' ' * len(_clock(ended))}  {depth}  ", line) for line in said),
    ]


def _took(one: "RunFigures") -> str:
    if one.duration_ms is None:
        return "-"
    tokens = (one.input_tokens or 0) + (one.output_tokens or 0)
    cost = f", {dollars(one.cost_usd)}" if one.model_calls else ""
    return f"{one.duration_ms / 1000:.1f} s, {tokens} tokens{cost}"


def _clock(at: datetime) -> str:
    return f"{at.astimezone():%H:%M:%S}"


def _write(told: "dict[str, Any] | Text") -> None:
    """Write a line, at once; on a terminal as wide as it is, else whole."""
    if isinstance(told, dict):
        write_json(told)
    elif sys.stdout.isatty():
        Console().print(told, no_wrap=True, overflow="ellipsis", crop=True, highlight=False)
    else:
        Console(soft_wrap=True).print(told, highlight=False)
    sys.stdout.flush()
