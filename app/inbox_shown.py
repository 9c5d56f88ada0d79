"""How the commands about requests for approval show them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.calls import one_line
from app.record import print_record
from core.text import in_one_line
from guardrails.chain import ANYBODY
from tools.inbox import EXPIRY, chain_of

if TYPE_CHECKING:
    from memory.approvals import ApprovalRow
    from observability.audit import AuditRow

_SHOWN_CHARS = 60
_OF_LINES: Final = frozenset({"arguments", "why", "last change refused", "result"})


def request_as_json(row: ApprovalRow, history: Sequence[AuditRow] = ()) -> dict[str, Any]:
    """Return a request for a pipe."""
    return {**asdict(row), **({"audit": [asdict(one) for one in history]} if history else {})}


def print_list(rows: Sequence[ApprovalRow], console: Console) -> None:
    """Show requests, a line each; in a pipe with tabs between the cells."""
    names = ("request", "asked", "tool", "arguments", "for", "status", "thread")
    if not rows:
        console.print("Nothing waits for approval.")
        return
    if not console.is_terminal:
        for cells in (names, *map(_cells, rows)):
            typer.echo("\t".join(one_line(cell) for cell in cells))
        return
    table = Table(*names, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(Text(one_line(_shortened(cell))) for cell in _cells(row)))
    console.print(table)


def _cells(row: ApprovalRow) -> tuple[str, ...]:
    arguments = json.dumps(row.arguments, ensure_ascii=False)
    asked = f"{row.created_at.astimezone():%m-%d %H:%M}"
    return (str(row.id)[:8], asked, row.tool, arguments, row.requester, _status(row), row.thread_id)


def _shortened(cell: str) -> str:
    return cell if len(cell) <= _SHOWN_CHARS else f"{cell[: _SHOWN_CHARS - 1]}…"


def print_request(row: ApprovalRow, history: Sequence[AuditRow], console: Console) -> None:
    """Show one request whole."""
    fields = {
        "request": str(row.id),
        "status": _status(row),
        "tool": row.tool,
        "arguments": json.dumps(row.arguments, ensure_ascii=False, indent=2),
        "hash": row.arguments_hash,
        "why": row.reason,
        "asked for by": row.requester,
        "thread": row.thread_id,
        "expires": row.expires_at.astimezone().isoformat(timespec="seconds") if row.expires_at else None,
        "changed to": json.dumps(row.edit["arguments"]) if row.edit and row.status == "edited" else None,
        "last change refused": row.note,
        "result": row.result,
    }
    print_record(fields, console, of_lines=_OF_LINES)
    for one in chain_of(row).levels:
        who = ", ".join(agreement.by for agreement in one.agreed) or "nobody yet"
        people = ", ".join(row.roles.get(one.level.role, ())) or "whoever is at the keyboard"
        level = f"level {one.level.role} ({one.state}): {one.level.quorum} of {people}; agreed: {who}"
        console.print(Text(in_one_line(level)), highlight=False)
    for entry in history:
        role = f" as {entry.role}" if entry.role else ""
        at = f"{entry.at.astimezone():%Y-%m-%d %H:%M:%S}"
        happened = f"{at} {entry.event} by {entry.who or 'unknown'}{role}"
        console.print(Text(in_one_line(happened), "dim"), highlight=False)
    if row.status == "open":
        approve = f"boring approvals approve {str(row.id)[:8]} --hash {row.arguments_hash[:12]} --by NAME"
        console.print(Text(approve, "cyan"))


def print_swept(rows: Sequence[ApprovalRow], console: Console, *, resume: bool) -> None:
    """Show what was overdue, and how to go on."""
    if not rows:
        console.print("Nothing is overdue.")
    for row in rows:
        console.print(Text(in_one_line(told(row))), highlight=False)
        if row.settled_by == EXPIRY and not resume:
            console.print(Text(in_one_line(f"  boring resume {row.thread_id}"), "cyan"))


def told(row: ApprovalRow) -> str:
    """Return in a sentence what has become of a request."""
    short = str(row.id)[:8]
    if row.status == "open":
        return f"{short} waits for {_asked(row)}."
    if row.status == "edited":
        return f"{short} has new arguments; its run looks at them next."
    return f"{short} is {row.status}."


def _status(row: ApprovalRow) -> str:
    if row.status == "open":
        return f"waits for {_asked(row)}"
    return f"{row.status} by {row.settled_by}"


def _asked(row: ApprovalRow) -> str:
    """Return who is asked now: `manager (1 of 2)`."""
    asked: list[str] = []
    for one in chain_of(row).open:
        role = "anybody" if one.level.role == ANYBODY else one.level.role
        so_far = f" ({len(one.agreed)} of {one.level.quorum})" if one.level.quorum > 1 else ""
        asked.append(f"{role}{so_far}")
    return ", ".join(asked)
