"""The command that tells how agents, steps, models and tools do: stats."""

from dataclasses import asdict
from typing import TYPE_CHECKING

import typer
from rich.table import Table
from rich.text import Text

from app.asking import JsonOption
from app.calls import one_line
from app.consoles import table_console
from app.costs import cost_told
from app.json_output import write_json
from app.running import run
from app.since import SinceOption

if TYPE_CHECKING:
    from datetime import timedelta

    from observability.outlet_counts import OutletFigures
    from observability.span_counts import Times

_OPERATIONS = {
    "invoke_agent": "agents",
    "run_step": "steps",
    "chat": "models",
    "execute_tool": "tools",
}


def stats(*, since: SinceOption = None, as_json: JsonOption = False) -> None:
    """Show how agents, steps, models and tools have done: calls, errors, times, tokens and cost."""
    found, places = run(_figures(since))
    if as_json:
        write_json([asdict(one) for one in found])
        return
    if not found:
        typer.echo("Nothing has run yet.")
        return
    for operation, title in _OPERATIONS.items():
        rows = [one for one in found if one.operation == operation]
        if rows:
            table_console().print(_table(title, rows))
    if places:
        table_console().print(_places(places))


def _table(title: str, rows: "list[Times]") -> Table:
    table = Table(title, box=None, pad_edge=False, title_justify="left")
    for name in ("calls", "errors", "p50 ms", "p95 ms", "p99 ms", "tokens", "cost"):
        table.add_column(name, justify="right")
    for one in rows:
        of_model = one.operation == "chat"
        tokens = str(one.input_tokens + one.output_tokens) if of_model else ""
        cost = cost_told(one.cost_usd, calls=one.calls, unpriced=one.unpriced) if of_model else ""
        errors = f"{one.errors} ({one.errors / one.calls:.0%})" if one.errors else "0"
        times = (f"{ms:.0f}" for ms in (one.p50_ms, one.p95_ms, one.p99_ms))
        table.add_row(Text(one_line(one.name)), str(one.calls), errors, *times, tokens, cost)
    return table


def _places(rows: "list[OutletFigures]") -> Table:
    """Return what became of the spans of those days, for each place that they go to."""
    table = Table("spans for", box=None, pad_edge=False)
    for name in ("delivered", "left out", "given up"):
        table.add_column(name, justify="right")
    table.add_column("why last")
    for one in rows:
        counts = (str(count) for count in (one.delivered, one.left_out, one.dropped))
        table.add_row(Text(one_line(one.name)), *counts, Text(one_line(one.problem)))
    return table


async def _figures(since: "timedelta | None") -> "tuple[list[Times], list[OutletFigures]]":
    from core.process import opened_process  # noqa: PLC0415 - commands import what they need when they run
    from observability.outlet_counts import outlet_figures  # noqa: PLC0415
    from observability.span_counts import times  # noqa: PLC0415

    async with opened_process() as process:
        database = await process.database()
        return await times(database, since=since), await outlet_figures(database, since=since)
