"""The command that tells what model calls have cost: costs."""

from dataclasses import asdict
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.asking import JsonOption
from app.calls import one_line
from app.json_output import write_json
from app.running import run
from app.since import SinceOption
from app.traces import dollars

if TYPE_CHECKING:
    from datetime import timedelta

    from observability.cost_sums import Costs, CostSum

By = Literal["run", "thread", "user", "tenant", "agent", "model", "day"]
_OF_TENANTS: Final = frozenset({"run", "thread", "user", "agent"})
"""What tenants may have the same name for."""


def costs(
    *,
    by: Annotated[By, typer.Option(help="What is summed up.")] = "model",
    tenant: Annotated[str | None, typer.Option(help="Only calls of this tenant.")] = None,
    since: SinceOption = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Most rows to list.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """Show what model calls cost, by model, run, thread, user, tenant, agent or day; the dearest first.

    Calls whose price is not known are counted beside the sum, never as zero. What tenants have the same name
    for is summed up for each of them.
    """
    found = run(_summed(by, since, limit, tenant=tenant))
    if as_json:
        told = {
            "by": by,
            "tenant": tenant,
            "rows": [asdict(one) for one in found.rows],
            "total": asdict(found.total),
        }
        write_json(told)
        return
    if not found.rows:
        typer.echo("No model has been asked in that time.")
        return
    of_tenants = tenant is None and by in _OF_TENANTS
    table = Table(by, *(["tenant"] if of_tenants else []), box=None, pad_edge=False)
    for name in ("calls", "tokens in", "tokens out", "cost"):
        table.add_column(name, justify="right")
    for one in found.rows:
        names = [_named(one.name), *([_named(one.tenant)] if of_tenants else [])]
        table.add_row(*(Text(cell) for cell in (*names, *_cells(one))))
    total = "total" if len(found.rows) < limit else "total, with what is not listed"
    table.add_row(total, *([""] if of_tenants else []), *_cells(found.total), style="bold")
    Console(soft_wrap=True).print(table)


def cost_told(cost_usd: Decimal | None, *, calls: int, unpriced: int) -> str:
    """Return a sum as people read it, with how many calls it does not know the price of."""
    if cost_usd is None:
        return "unknown" if calls else ""
    return dollars(cost_usd) + (f" + {unpriced} unknown" if unpriced else "")


def _cells(one: "CostSum") -> tuple[str, ...]:
    cost = cost_told(one.cost_usd, calls=one.calls, unpriced=one.unpriced)
    return (str(one.calls), str(one.input_tokens), str(one.output_tokens), cost)


def _named(name: str | None) -> str:
    return one_line(name) if name else "-"


async def _summed(by: By, since: "timedelta | None", limit: int, *, tenant: str | None) -> "Costs":
    from core.process import opened_process  # noqa: PLC0415 - commands import what they need when they run
    from observability.cost_sums import costs_by  # noqa: PLC0415

    async with opened_process() as process:
        return await costs_by(await process.database(), by, since=since, limit=limit, tenant=tenant)
