"""The tools that keep tickets: what has to be done, for whom, and how far it is. Rows of our own database."""

from typing import Annotated, Any, Literal

from psycopg.rows import DictRow
from pydantic import Field

from core.errors import ToolError
from core.process import current_process
from core.text import storable_text
from tools.context import run_context
from tools.contract import Tool, contract
from tools.injection import Transaction

Status = Literal["open", "waiting", "closed"]
Priority = Literal["low", "normal", "high"]
MOST_LISTED = 50
_WIDEST_ID = 2**63 - 1

Title = Annotated[str, Field(min_length=1, max_length=200, description="what has to be done, in one line")]
Body = Annotated[str, Field(max_length=8000, description="the details")]
TicketId = Annotated[int, Field(ge=1, le=_WIDEST_ID, description="the number of the ticket")]


async def create_ticket(
    title: Title, transaction: Transaction, *, body: Body = "", priority: Priority = "normal"
) -> str:
    """Open a ticket; returns its number."""
    who = run_context()
    found = await transaction.execute(
        "insert into boring.ticket (tenant, title, body, priority, created_by)"
        " values (%s, %s, %s, %s, %s) returning *",
        (who.tenant, storable_text(title), storable_text(body), priority, who.user),
    )
    return f"Opened ticket {_line(await found.fetchone())}"


async def update_ticket(  # noqa: PLR0913 - each is a field that the model fills in
    ticket_id: TicketId,
    transaction: Transaction,
    *,
    status: Status | None = None,
    priority: Priority | None = None,
    title: Title | None = None,
    body: Body | None = None,
) -> str:
    """Change a ticket: its status, priority, title or details. What is not given stays as it is."""
    if status is None and priority is None and title is None and body is None:
        raise ToolError("Nothing to change: give at least one of status, priority, title, body.")
    found = await transaction.execute(
        "update boring.ticket set status = coalesce(%s, status), priority = coalesce(%s, priority),"
        " title = coalesce(%s, title), body = coalesce(%s, body), updated_at = now()"
        " where id = %s and tenant = %s returning *",
        (status, priority, _optional(title), _optional(body), ticket_id, run_context().tenant),
    )
    return f"Changed ticket {_line(await found.fetchone(), ticket_id)}"


async def list_tickets(
    status: Status | Literal["any"] = "open",
    *,
    mine: Annotated[bool, Field(description="only those that the user opened")] = False,
    limit: Annotated[int, Field(ge=1, le=MOST_LISTED)] = 20,
) -> str:
    """List tickets, the newest first: number, status, priority, title."""
    who = run_context()
    rows = await _rows(
        "select *, count(*) over () as matching from boring.ticket where tenant = %(tenant)s"
        " and (%(status)s = 'any' or status = %(status)s) and (not %(mine)s or created_by = %(user)s)"
        " order by id desc limit %(limit)s",
        {"tenant": who.tenant, "user": who.user, "status": status, "mine": mine, "limit": limit},
    )
    if not rows:
        return "There are no such tickets."
    left_out = rows[0]["matching"] - len(rows)
    note = [f"[{left_out} older ones left out]"] if left_out else []
    return "\n".join([*map(_line, rows), *note])


async def show_ticket(ticket_id: TicketId) -> str:
    """Show all of one ticket: its title, details, status, and who opened it when."""
    rows = await _rows(
        "select * from boring.ticket where id = %(id)s and tenant = %(tenant)s",
        {"id": ticket_id, "tenant": run_context().tenant},
    )
    row = _known(rows[0] if rows else None, ticket_id)
    opened, changed = (row[name].isoformat(timespec="minutes") for name in ("created_at", "updated_at"))
    head = f"{_line(row)}\nopened by {row['created_by']} at {opened}, last changed at {changed}"
    return f"{head}\n\n{row['body']}".rstrip()


def ticket_desk() -> tuple[Tool, Tool, Tool, Tool]:
    """Return the tools `create_ticket`, `update_ticket`, `list_tickets` and `show_ticket`.

    They see the tickets of the run's tenant only. A change commits together with its record, so it is made
    once whatever is killed when.
    """
    return (
        contract(create_ticket, effect="transactional", timeout_s=10, provenance="trusted"),
        contract(update_ticket, effect="transactional", timeout_s=10),
        contract(list_tickets, effect="read", timeout_s=10, rest="Ask for fewer, or for another status."),
        contract(show_ticket, effect="read", timeout_s=10),
    )


async def _rows(query: str, values: dict[str, Any]) -> list[DictRow]:
    database = await (await current_process()).database()
    async with database.pool.connection() as connection:
        return await (await connection.execute(query.encode(), values)).fetchall()


def _known(row: DictRow | None, ticket_id: int) -> DictRow:
    if row is None:
        raise ToolError(f"There is no ticket {ticket_id}. `list_tickets` shows those there are.")
    return row


def _line(row: DictRow | None, ticket_id: int = 0) -> str:
    known = _known(row, ticket_id)
    return f"{known['id']} [{known['status']}, {known['priority']}] {known['title']}"


def _optional(text: str | None) -> str | None:
    """Return `text` in a form that Postgres takes: it knows no NUL and no lone surrogate."""
    return None if text is None else storable_text(text)
