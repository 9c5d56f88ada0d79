"""The audit record: who decided what, as rows that can only be added, each sealed by the one before it.

The hash of a row is of the hash before it and of the row's own content, see `observability.seals`. A row that
was changed, taken out or put in shows, because the hashes from there on no longer follow. How a row forgets a
person is told in `observability.redaction`.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from secrets import token_hex
from typing import Any, Final, LiteralString, cast

from psycopg import AsyncConnection
from psycopg.rows import DictRow
from psycopg.types.json import Json

from core.database import Database
from core.text import storable
from observability.redaction import Redactions
from observability.seals import IN_PARTS, content_hash, fits, is_in_parts, seal, text_of
from observability.seals import plain as plain

FIRST: Final = "0" * 64
"""What stands before the first row."""
_LOCK = "select pg_advisory_xact_lock(hashtext('boring.audit'))"
_LAST = "select number, hash from boring.audit order by number desc limit 1"
_APPEND = """
insert into boring.audit (number, at, event, subject, thread_id, run_id, tool, who, role, arguments_hash,
    before, after, salt, content_hash, previous_hash, hash)
values (%(number)s, %(at)s, %(event)s, %(subject)s, %(thread_id)s, %(run_id)s, %(tool)s, %(who)s, %(role)s,
    %(arguments_hash)s, %(before)s, %(after)s, %(salt)s, %(content_hash)s,
    %(previous_hash)s, %(hash)s)
"""
_ALL: LiteralString = "select * from boring.audit"
_FOLLOWING: LiteralString = """
select *, lag(after) over (partition by subject order by number) as told from boring.audit order by number
"""
_REQUESTS: LiteralString = """
select approval.*, last.hash as last_hash, last.after as told
from boring.approval left join lateral (
    select hash, after from boring.audit where subject = approval.id::text order by number desc limit 1
) as last on true
order by approval.created_at
"""
_GONE = """
select subject from boring.audit
where event = 'request' and redacted_by is null
    and not exists (select from boring.approval where id::text = subject)
"""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """What happened to a request.

    Attributes:
        event: `request`, `approve`, `edit`, `renew`, `refuse`, `reject`, `respond`, `escalate`, `expire`,
            `overtake`, `resume` or `release`; `redact` for what was forgotten of rows before.
        subject: the id of the request.
        who: the person; `expiry` where time decided, `new message` where one overtook the request.
        role: in which role; empty where none counts.
        arguments_hash: SHA-256 of the arguments that it is about.
        before: the columns of the request as they stood, see `plain`; empty where there was none.
        after: as they stand now.
    """

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


@dataclass(frozen=True, slots=True)
class AuditRow(AuditEntry):
    """A row as it stands in the record.

    Attributes:
        salt: random, so that nobody finds the content of a row by its hash once that is forgotten; rows of
            older versions have none.
        redacted_by: the number of the row that tells why the content of this one is forgotten.
        content_hash: of what the row may have to forget; empty in rows of older versions.
    """

    number: int
    at: datetime
    salt: str
    redacted_by: int | None
    content_hash: str
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
        requests: by their ids, the requests whose row says something else than the record, and what.
        redacted: how many rows have forgotten their content.
    """

    rows: int
    head: str
    broken_at: int | None = None
    why: str = ""
    requests: Mapping[str, str] = field(default_factory=dict[str, str])
    redacted: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether nothing was found."""
        return not self.why and not self.requests


async def append_audit(connection: AsyncConnection[DictRow], entry: AuditEntry, *, at: datetime) -> str:
    """Add a row in an open transaction, and return its hash.

    Rows are added one transaction after the other until each has ended, so this comes last in a transaction:
    what is locked after it could be held by somebody who waits for it.
    """
    await connection.execute(_LOCK)
    last = await (await connection.execute(_LAST)).fetchone()
    number, previous = (last["number"] + 1, last["hash"]) if last is not None else (1, FIRST)
    content: dict[str, Any] = {"number": number, "at": at, **storable(asdict(entry)), "salt": token_hex(16)}
    content["content_hash"] = content_hash(content)
    sealed = seal(content, previous)
    row = {**content, "previous_hash": previous, "hash": sealed}
    row["before"], row["after"] = (
        Json(content["before"], dumps=text_of),
        Json(content["after"], dumps=text_of),
    )
    await connection.execute(_APPEND, row)
    return sealed


async def audit_of(database: Database, subject: str) -> list[AuditRow]:
    """Return what is on record of a request, the oldest first."""
    async with database.pool.connection() as connection:
        found = await connection.execute(_ALL + " where subject = %s order by number", (subject,))
        return [AuditRow(**row) for row in await found.fetchall()]


async def verify_audit(database: Database, *, seen: str | None = None) -> Verified:
    """Look whether every row follows from the one before it, and every request is what the record says.

    Args:
        database: holds the record.
        seen: the hash of a row that was once the last one; it has to be there still. Then nothing up to it
            has changed but that rows have forgotten their content.
    """
    previous, rows, is_seen = FIRST, 0, seen is None
    changed: dict[str, str] = {}
    redactions = Redactions()
    async with (
        database.pool.connection() as connection,
        connection.transaction(),
        connection.cursor("boring_audit") as cursor,  # the server's: the record may be long
    ):
        await cursor.execute(_FOLLOWING)
        async for row in cursor:
            rows += 1
            if (why := _wrong(row, rows, previous, redactions)) is not None:
                return Verified(rows, previous, rows, why)
            if row["told"] is not None and (names := _differing(row["told"], row["before"])):
                why = f"its row was changed before row {rows} of the record by what is not on it: {names}"
                changed.setdefault(row["subject"], why)
            previous = cast("str", row["hash"])
            is_seen = is_seen or previous == seen
    if not is_seen:
        return Verified(rows, previous, rows + 1, f"the row with the hash {seen} is gone", changed)
    if redactions.untold:
        number = min(redactions.untold)
        why = f"row {number} has lost its content, and no row tells of it"
        return Verified(rows, previous, number, why, changed)
    strayed = await _strayed(database) | changed
    return Verified(rows, previous, requests=strayed, redacted=redactions.rows)


async def _strayed(database: Database) -> dict[str, str]:
    """Return the requests whose row is not what the last event on record has left."""
    found: dict[str, str] = {}
    async with (
        database.pool.connection() as connection,
        connection.transaction(),
        connection.cursor("boring_approval") as cursor,
    ):
        await cursor.execute(_REQUESTS)
        async for row in cursor:
            if row["told"] is not None and (names := _differing(row["told"], plain(row))):
                found[str(row["id"])] = f"its row says something else than the record: {names}"
            elif row["last_hash"] != row["audit_hash"]:
                found[str(row["id"])] = "the last row about it is gone from the record"
        gone = await (await connection.execute(_GONE)).fetchall()
    return found | {row["subject"]: "it is on record, and its row is gone" for row in gone}


def _differing(told: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    """Return the names of what is told otherwise, of what both tell."""
    return ", ".join(sorted(name for name in told.keys() & row.keys() if told[name] != row[name]))


def _wrong(row: DictRow, number: int, previous: str, redactions: Redactions) -> str | None:
    if row["number"] != number:
        return f"row {number} is missing"
    if row["previous_hash"] != previous:
        return f"row {number} does not follow the one before it"
    if previous.startswith(IN_PARTS) and not is_in_parts(row):
        return f"row {number} was changed to be sealed in an older way"
    if row["redacted_by"] is not None:
        return redactions.note(row, previous)
    if not fits(row, previous):
        return f"row {number} was changed"
    return redactions.told(row)
