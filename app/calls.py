"""The command that shows the log of tool calls: calls."""

import json
from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.asking import JsonOption
from app.consoles import table_console
from app.json_output import write_json
from app.record import print_record
from app.running import run
from app.since import SinceOption
from core.errors import InputError
from core.text import visible

if TYPE_CHECKING:
    from observability.call_log import AskedQuestion, JournalEntry, LoggedCall, Wanted


_OF_LINES: Final = frozenset({"arguments", "result", "error"})


class EndedAs(StrEnum):
    """How a call ended; what each means stands at `tools.records.Ended`."""

    OK = "ok"
    ERROR = "error"
    TIMEOUT = "timeout"
    UNKNOWN = "unknown"
    INVALID = "invalid"
    UNKNOWN_TOOL = "unknown_tool"
    DUPLICATE = "duplicate"
    REFUSED = "refused"
    REJECTED = "rejected"
    DECLINED = "declined"
    STOPPED = "stopped"


def calls(  # noqa: PLR0913 - each is an option of the command line
    call_id: Annotated[
        str | None, typer.Argument(help="One call, to be shown whole; the list tells its id.")
    ] = None,
    *,
    tool: Annotated[str | None, typer.Option(help="Only calls of this tool.")] = None,
    run_id: Annotated[str | None, typer.Option("--run", help="Only calls of this run.")] = None,
    thread: Annotated[str | None, typer.Option("--thread", "-t", help="Only calls of this thread.")] = None,
    outcome: Annotated[EndedAs | None, typer.Option(help="Only calls that ended like this.")] = None,
    since: SinceOption = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Most calls to list.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """List the tool calls of all threads, newest first, or show one call whole.

    A call is shown with its arguments, its result, what the journal holds of it, and what a person was asked
    and said.
    """
    from observability.call_log import Wanted  # noqa: PLC0415 - commands import what they need when they run

    wanted = Wanted(tool, run_id, thread, outcome.value if outcome else None, call_id, since)
    if call_id is None:
        _list(run(_recent(wanted, limit)), as_json=as_json)
        return
    call, entry, asked = run(_whole(wanted))
    if as_json:
        journal = None if entry is None else asdict(entry)
        write_json(
            {**asdict(call), "journal": journal, "questions": [asdict(question) for question in asked]}
        )
        return
    _show(call, entry, asked)


def _list(found: "list[LoggedCall]", *, as_json: bool) -> None:
    if as_json:
        write_json([asdict(call) for call in found])
        return
    if not found:
        typer.echo("No such calls.")
        return
    table = Table("began", "tool", "outcome", box=None, pad_edge=False)
    table.add_column("ms", justify="right")
    table.add_column("thread", overflow="fold")
    table.add_column("call", no_wrap=True)
    for call in found:
        outcome = f"{call.outcome} (replayed)" if call.replayed else call.outcome
        began = f"{call.started_at.astimezone():%m-%d %H:%M:%S}"
        cells = (began, call.tool, outcome, f"{call.latency_ms or 0:.0f}", call.thread_id, call.call_id)
        table.add_row(*(Text(one_line(str(cell))) for cell in cells))
    table_console().print(table)


def _show(call: "LoggedCall", entry: "JournalEntry | None", asked: "list[AskedQuestion]") -> None:
    ended = call.outcome or "not over: see its journal entry, and the state of its thread"
    ms = "" if call.latency_ms is None else f"{call.latency_ms:.3f} ms"
    console = Console(soft_wrap=True)
    print_record(
        {
            "call": call.call_id,
            "tool": call.tool,
            "effect": call.effect,
            "thread": call.thread_id,
            "run": call.run_id,
            "step": call.step,
            "began": call.started_at.astimezone().isoformat(),
            "outcome": f"{ended} (found in the journal, not run)" if call.replayed else ended,
            "attempts": call.attempt,
            "took": ms,
            "approved by": call.approved_by,
            "arguments": json.dumps(call.arguments, ensure_ascii=False, indent=2),
            "result": call.result,
            "error": call.error,
        },
        console,
        of_lines=_OF_LINES,
    )
    if entry is not None:
        print_record({"journal": ""}, console)
        print_record(asdict(entry), console, depth=2)
    for question in asked:
        print_record({"question": ""}, console)
        print_record({name: _worded(value) for name, value in asdict(question).items()}, console, depth=2)


def _worded(value: object) -> object:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else value


def one_line(text: str) -> str:
    """Return `text` as it can stand in a table: one line, and nothing that steers a terminal."""
    return visible(" ".join(text.split()))


async def _recent(wanted: "Wanted", limit: int) -> "list[LoggedCall]":
    from core.process import opened_process  # noqa: PLC0415 - commands import what they need when they run
    from observability.call_log import recent_calls  # noqa: PLC0415

    async with opened_process() as process:
        return await recent_calls(await process.database(), wanted, limit=limit)


async def _whole(wanted: "Wanted") -> "tuple[LoggedCall, JournalEntry | None, list[AskedQuestion]]":
    """Return one call with its journal entry and its questions.

    Raises:
        InputError: there is no such call, or more than one.
    """
    from core.process import opened_process  # noqa: PLC0415 - commands import what they need when they run
    from observability.call_log import calls_named, journaled  # noqa: PLC0415

    async with opened_process() as process:
        database = await process.database()
        found = await calls_named(database, wanted)
        if not found:
            raise InputError(f"There is no such call {wanted.call_id!r}. List the calls with: boring calls")
        if len(found) > 1:
            runs = ", ".join(f"{call.run_id} (thread {call.thread_id})" for call in found)
            raise InputError(f"The call {wanted.call_id!r} was made in several runs: {runs}. Add --run RUN.")
        return found[0], *await journaled(database, _key(found[0]))


def _key(call: "LoggedCall") -> str:
    """Return the name of the action; a read that a person was asked about has one and does not log it."""
    from tools.actions import Action  # noqa: PLC0415 - commands import what they need when they run

    names = ("thread_id", "call_id", "tool", "arguments")
    same = {name: getattr(call, name) for name in names}
    return call.key or Action(**same, run_id=call.run_id or "", effect=call.effect or "").key
