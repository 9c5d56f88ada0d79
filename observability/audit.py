"""The audit record: who decided what, as rows that can only be added, each sealed by the one before it.

The hash of a row is the SHA-256 of the hash before it and of the row's own content. A row that was changed,
taken out or put in shows, because the hashes from there on no longer follow.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, Final, LiteralString, cast

from psycopg import AsyncConnection
from psycopg.rows import DictRow
from psycopg.types.json import Json

from core.database import Database
from core.text import storable

FIRST: Final = "0" * 64
"""What stands before the first row."""
_LOCK = "select pg_advisory_xact_lock(hashtext('boring.audit'))"
_LAST = "select number, hash from boring.audit order by number desc limit 1"
_APPEND = """
insert into boring.audit (number, at, event, subject, thread_id, run_id, tool, who, role, arguments_hash,
    before, after, previous_hash, hash)
values (%(number)s, %(at)s, %(event)s, %(subject)s, %(thread_id)s, %(run_id)s, %(tool)s, %(who)s, %(role)s,
    %(arguments_hash)s, %(before)s, %(after)s, %(previous_hash)s, %(hash)s)
"""
_ALL: LiteralString = "select * from boring.audit"
_MISSING = """
select approval.id::text as subject from boring.approval
where not exists (
    select from boring.audit where audit.hash = approval.audit_hash and audit.subject = approval.id::text)
order by approval.created_at limit 1
"""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """What happened to a request.

    Attributes:
        event: `request`, `approve`, `edit`, `reject`, `respond`, `escalate`, `expire`, `refuse` or `resume`.
        subject: the id of the request.
        who: the person; `expiry` where time decided.
        role: in which role; empty where none counts.
        arguments_hash: SHA-256 of the arguments that it is about.
        before: the request as it stood, what matters of it.
        after: as it stands now.
    """

    event: str
    subject: str
    thread_id: str
    run_id: str
    tool: str
    who: str
    role: str
    arguments_hash: str
    before: Mapping[str, Any] = field(default_factory=dict[str, Any])
    after: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class AuditRow:
    """A row as it stands in the record."""

    number: int
    at: datetime
    event: str
    subject: str
    thread_id: str
    run_id: str
    tool: str
    who: str
    role: str
    arguments_hash: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    previous_hash: str
    hash: str


@dataclass(frozen=True, slots=True)
class Verified:
    """What became of looking at the whole record.

    Attributes:
        rows: that were looked at.
        head: hash of the last one. Who keeps it elsewhere can tell later that nothing before it was changed.
        broken_at: number of the first row that does not follow, or None.
        why: what is wrong there; empty where nothing is.
    """

    rows: int
    head: str
    broken_at: int | None = None
    why: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether nothing was found."""
        return not self.why


async def append_audit(connection: AsyncConnection[DictRow], entry: AuditEntry, *, at: datetime) -> str:
    """Add a row in an open transaction, and return its hash.

    Rows are added one transaction after the other until each has ended, so this comes last in a transaction:
    what is locked after it could be held by somebody who waits for it.
    """
    await connection.execute(_LOCK)
    last = await (await connection.execute(_LAST)).fetchone()
    number, previous = (last["number"] + 1, last["hash"]) if last is not None else (1, FIRST)
    content: dict[str, Any] = {"number": number, "at": at, **storable(asdict(entry))}
    sealed = _sealed(content, previous)
    row = {**content, "previous_hash": previous, "hash": sealed}
    row["before"], row["after"] = Json(content["before"], dumps=_text), Json(content["after"], dumps=_text)
    await connection.execute(_APPEND, row)
    return sealed


async def audit_of(database: Database, subject: str) -> list[AuditRow]:
    """Return what is on record of a request, the oldest first."""
    async with database.pool.connection() as connection:
        found = await connection.execute(_ALL + " where subject = %s order by number", (subject,))
        return [AuditRow(**row) for row in await found.fetchall()]


async def verify_audit(database: Database, *, seen: str | None = None) -> Verified:
    """Look whether every row follows from the one before it, and whether every request is on record.

    Args:
        database: holds the record.
        seen: the hash of a row that was once the last one; it has to be there still.
    """
    previous, rows, is_seen = FIRST, 0, seen is None
    async with (
        database.pool.connection() as connection,
        connection.transaction(),
        connection.cursor("boring_audit") as cursor,  # the server's: the record may be long
    ):
        await cursor.execute(_ALL + " order by number")
        async for row in cursor:
            rows += 1
            if (why := _wrong(row, rows, previous)) is not None:
                return Verified(rows, previous, rows, why)
            previous = cast("str", row["hash"])
            is_seen = is_seen or previous == seen
    if not is_seen:
        return Verified(rows, previous, rows + 1, f"the row with the hash {seen} is gone")
    async with database.pool.connection() as connection:
        missing = await (await connection.execute(_MISSING)).fetchone()
    if missing is not None:
        why = f"the last row about the request {missing['subject']} is gone"
        return Verified(rows, previous, rows + 1, why)
    return Verified(rows, previous)


def _wrong(row: DictRow, number: int, previous: str) -> str | None:
    if row["number"] != number:
        return f"row {number} is missing"
    if row["previous_hash"] != previous:
        return f"row {number} does not follow the one before it"
    names = ("number", "at", *(one.name for one in fields(AuditEntry)))
    if _sealed({name: row[name] for name in names}, previous) != row["hash"]:
        return f"row {number} was changed"
    return None


def _sealed(content: Mapping[str, Any], previous: str) -> str:
    told = {**content, "at": content["at"].astimezone(UTC).isoformat(timespec="microseconds")}
    return hashlib.sha256(f"{previous}\n{_text(told)}".encode()).hexdigest()


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
