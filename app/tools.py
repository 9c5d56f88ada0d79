"""The command that shows how the tools do: tools."""

from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from app.asking import JsonOption
from app.calls import one_line
from app.consoles import table_console
from app.json_output import write_json
from app.running import run
from app.since import SinceOption

if TYPE_CHECKING:
    from observability.call_log import ToolFigures
    from tools.breaker_table import BreakerState
    from tools.contract import Tool


@dataclass(frozen=True, slots=True)
class ToolRow:
    """A tool, as far as it is known here.

    Attributes:
        contract: None for a tool that only the log or a breaker tells of.
        breaker: None for one that has never failed.
        figures: None without calls in the time that was asked for.
    """

    name: str
    contract: "Tool | None"
    breaker: "BreakerState | None"
    figures: "ToolFigures | None"

    @property
    def effect(self) -> str | None:
        """What its contract says, or else its newest call."""
        if self.contract is not None:
            return self.contract.effect
        return self.figures.effect if self.figures is not None else None

    @property
    def timeout_s(self) -> float | None:
        """Most seconds of one attempt, where the contract is known."""
        return self.contract.timeout_s if self.contract is not None else None

    def as_json(self) -> dict[str, Any]:
        """Return the row for a pipe; times in ms, rates from 0 to 1."""
        figures = self.figures
        return {
            "tool": self.name,
            "effect": self.effect,
            "timeout_s": self.timeout_s,
            "breaker": None if self.breaker is None else asdict(self.breaker),
            "calls": figures.calls if figures else 0,
            "runs": figures.runs if figures else 0,
            "errors": figures.errors if figures else 0,
            "error_rate": figures.error_rate if figures else None,
            "p50_ms": figures.p50_ms if figures else None,
            "p95_ms": figures.p95_ms if figures else None,
        }


def tools(*, since: SinceOption = None, as_json: JsonOption = False) -> None:
    """List the tools of the reference agent and all that were ever called, with how they do.

    The error rate and the latencies are those of the calls for which the tool was run: not of calls that were
    refused, invalid, or answered from the journal. The latencies hold all attempts and waiting.
    """
    rows = run(_rows(since))
    if as_json:
        write_json([row.as_json() for row in rows])
        return
    table = Table("tool", "effect", "breaker", box=None, pad_edge=False)
    for name in ("timeout s", "calls", "errors", "p50 ms", "p95 ms"):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*(Text(one_line(cell)) for cell in _cells(row)))
    table_console().print(table)


def _cells(row: ToolRow) -> list[str]:
    timeout = "" if row.timeout_s is None else f"{row.timeout_s:g}"
    told = [row.name, row.effect or "", _breaker(row.breaker), timeout]
    figures = row.figures
    if figures is None:
        return [*told, "0", "", "", ""]
    rate = "" if figures.error_rate is None else f"{figures.error_rate:.1%}"
    latencies = ["" if ms is None else f"{ms:.1f}" for ms in (figures.p50_ms, figures.p95_ms)]
    return [*told, str(figures.calls), rate, *latencies]


def _breaker(breaker: "BreakerState | None") -> str:
    if breaker is None or breaker.state == "closed":
        return "closed"
    if breaker.state == "half_open":
        return "half_open, being tried"
    return f"open, tried again in {max(0.0, breaker.reopen_in_s or 0.0):.0f} s"


async def _rows(since: timedelta | None) -> list[ToolRow]:
    from core.loading import load_for_good  # noqa: PLC0415 - commands import what they need when they run
    from core.process import opened_process  # noqa: PLC0415

    await load_for_good("graphs.single")
    from graphs.single import reference_tools  # noqa: PLC0415 - loaded above
    from observability.call_log import tool_figures  # noqa: PLC0415
    from tools.breaker_table import BreakerTable  # noqa: PLC0415

    contracts = {tool.name: tool for tool in reference_tools()}
    async with opened_process() as process:
        database = await process.database()
        figures = {one.tool: one for one in await tool_figures(database, since=since)}
        states = await BreakerTable(database).all()
    breakers = {state.name.removeprefix("tool:"): state for state in states if state.name.startswith("tool:")}
    names = [*contracts, *sorted((figures.keys() | breakers.keys()) - contracts.keys())]
    return [ToolRow(name, contracts.get(name), breakers.get(name), figures.get(name)) for name in names]
