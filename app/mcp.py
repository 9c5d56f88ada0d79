"""The commands about MCP servers: which of their tools are offered, and accepting what has changed."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.asking import JsonOption
from app.calls import one_line
from app.json_output import write_json
from app.running import run
from core.errors import ConfigurationError, InputError
from core.text import in_hanging_lines, in_one_line

if TYPE_CHECKING:
    from core.process import Process
    from tools.mcp.servers import McpServerReport, McpToolReport

mcp = typer.Typer(help="Shows and accepts the tools of MCP servers.", no_args_is_help=True)


@mcp.command("list")
def list_servers(*, as_json: JsonOption = False) -> None:
    """List the servers that BORING_MCP names, their tools, and which of these models are offered.

    The tools of a server that was never seen are accepted as they are, unless BORING_MCP_TRUST_FIRST_USE is
    false.
    """
    reports = run(_reports())
    if as_json:
        write_json([_as_json(report) for report in reports])
        return
    console = Console(soft_wrap=True)
    table = Table("server", "tool", "name for models", "effect", "state", box=None, pad_edge=False)
    for report in reports:
        for tool in report.tools:
            cells = (report.server, tool.tool, tool.name, tool.effect, _state(tool))
            table.add_row(*(Text(one_line(cell)) for cell in cells))
    if table.row_count:
        console.print(table)
    for report in reports:
        if report.error is not None:
            console.print(in_hanging_lines(report.error), style="yellow", markup=False, highlight=False)
        elif any(_is_waiting(tool) for tool in report.tools):
            then = f"See what is new, and accept it: boring mcp accept {in_one_line(report.server)}"
            console.print(then, markup=False)
    if not reports:
        console.print("The file that BORING_MCP names holds no servers.")


@mcp.command()
def accept(
    server: Annotated[str, typer.Argument(help="The server's name in the file that BORING_MCP names.")],
    tool: Annotated[
        str | None, typer.Argument(help="One tool, by its name at the server. Unset: all that wait.")
    ] = None,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Accept what is shown without asking.")] = False,
) -> None:
    """Show what is new about a server's tools, and accept it, so that models are offered them."""
    run(_accept(server, tool, yes=yes))


async def _reports() -> "list[McpServerReport]":
    from core.loading import load_for_good  # noqa: PLC0415 - commands import what they need when they run
    from core.process import opened_process  # noqa: PLC0415

    await load_for_good("tools.mcp.tools")
    from tools.mcp.tools import mcp_hub  # noqa: PLC0415 - loaded above

    async with opened_process() as process:
        return await (await mcp_hub(process)).reports()


async def _accept(server: str, tool: str | None, *, yes: bool) -> None:
    from core.loading import load_for_good  # noqa: PLC0415 - commands import what they need when they run
    from core.process import opened_process  # noqa: PLC0415

    await load_for_good("tools.mcp.tools")
    from tools.mcp.tools import mcp_hub  # noqa: PLC0415 - loaded above

    async with opened_process() as process:
        reports = {report.server: report for report in await (await mcp_hub(process)).reports()}
        waiting = _waiting(reports, server, tool)
        if not waiting:
            which = in_one_line(tool or f"every tool of {server}")
            typer.echo(f"Nothing to accept: {which} is as it was accepted.")
            return
        await _show(process, server, waiting)
        if not yes and not (sys.stdin.isatty() and typer.confirm("Accept?")):
            raise InputError("Nothing was accepted. Repeat the command with --yes to accept what is shown.")
        from tools.mcp.pins import accept as keep  # noqa: PLC0415 - loaded with the servers

        await keep(await process.database(), server, {one.tool: one.description for one in waiting})
        typer.echo(f"Accepted: {', '.join(in_one_line(one.tool) for one in waiting)}")


def _waiting(reports: "dict[str, McpServerReport]", server: str, tool: str | None) -> "list[McpToolReport]":
    """Return the tools to accept.

    Raises:
        InputError: there is no such server or tool.
        ConfigurationError: the server can't be used.
    """
    report = reports.get(server)
    if report is None:
        raise InputError(f"There is no MCP server {server!r}. There are: {', '.join(reports) or 'none'}.")
    if report.error is not None:
        raise ConfigurationError(report.error)
    listed = [one for one in report.tools if one.standing != "gone"]
    if tool is not None and tool not in [one.tool for one in listed]:
        names = ", ".join(in_one_line(one.tool) for one in listed) or "none"
        raise InputError(f"MCP server {server!r} has no tool {tool!r}. It has: {names}.")
    return [one for one in listed if _is_waiting(one) and tool in {None, one.tool}]


async def _show(process: "Process", server: str, waiting: "Sequence[McpToolReport]") -> None:
    from tools.mcp.pins import accepted_description, difference  # noqa: PLC0415 - loaded with the servers

    database = await process.database()
    for one in waiting:
        before = await accepted_description(database, server, one.tool)
        typer.echo(in_one_line(f"{server} / {one.tool} ({one.standing}, effect {one.effect})"))
        typer.echo(difference(before, one.description) + "\n")


def _is_waiting(tool: "McpToolReport") -> bool:
    return tool.standing in {"changed", "new"}


def _state(tool: "McpToolReport") -> str:
    from tools.mcp.servers import EXPLAINED  # noqa: PLC0415 - loaded with the servers

    if tool.offered is not None:
        return "offered"
    return f"disabled: {tool.problem or EXPLAINED[tool.standing]}"


def _as_json(report: "McpServerReport") -> dict[str, object]:
    tools = [
        {
            "tool": tool.tool,
            "name": tool.name,
            "effect": tool.effect,
            "standing": tool.standing,
            "offered": tool.offered is not None,
            "problem": tool.problem,
        }
        for tool in report.tools
    ]
    return {"server": report.server, "error": report.error, "tools": tools}
