"""The inbox: every request for approval as a row, found without opening its thread.

What a request's chain has come to stands in it as JSON; `guardrails.chain` knows what that means.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Literal, LiteralString
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import DictRow
from psycopg.types.json import Json

from core.database import Database
from core.text import storable, storable_text

Status = Literal["open", "edited", "approved", "denied", "answered"]
"""`edited`: somebody has changed the arguments, and the run has to look at them. The last three: settled."""


@dataclass(frozen=True, slots=True)
class NewApproval:
    """What a request is about, before it has a row.

    Attributes:
        key: of the action as the model asked for it, see `tools.actions`.
        arguments: as they stand now.
        arguments_hash: SHA-256 of them; an agreement is to exactly these.
        requester: the user of the run; empty where nobody knows.
        roles: who has which role, as far as the request asks for it.
        expires_at: when a level of it is overdue.
    """

    id: UUID
    key: str
    thread_id: str
    run_id: str
    call_id: str
    tool: str
    arguments: Mapping[str, Any]
    arguments_hash: str
    arguments_schema: Mapping[str, Any]
    requester: str
    tenant: str
    reason: str
    chain: Mapping[str, Any]
    roles: Mapping[str, Sequence[str]]
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class ApprovalRow(NewApproval):
    """A request for approval.

    Attributes:
        version: counts what has happened to it, from 1.
        edit: the arguments that somebody put in, who and in which role, until the run has looked at them.
        note: what became of the last edit, where it was refused.
        result: why it is denied, or what is answered in the tool's stead.
        resumed_at: when a run took up what was settled.
    """

    status: Status
    version: int
    edit: dict[str, Any] | None
    note: str | None
    result: str | None
    settled_by: str | None
    created_at: datetime
    settled_at: datetime | None
    resumed_at: datetime | None
    resumed_by: str | None
    audit_hash: str


_INSERT = """
insert into boring.approval (id, key, thread_id, run_id, call_id, tool, arguments, arguments_hash,
    arguments_schema, requester, tenant, reason, chain, roles, expires_at)
values (%(id)s, %(key)s, %(thread_id)s, %(run_id)s, %(call_id)s, %(tool)s, %(arguments)s, %(arguments_hash)s,
    %(arguments_schema)s, %(requester)s, %(tenant)s, %(reason)s, %(chain)s, %(roles)s, %(expires_at)s)
on conflict (key) do nothing returning id
"""
_UPDATE = """
update boring.approval set arguments = %(arguments)s, arguments_hash = %(arguments_hash)s,
    reason = %(reason)s, chain = %(chain)s, roles = %(roles)s, status = %(status)s, version = %(version)s,
    edit = %(edit)s, note = %(note)s, result = %(result)s, settled_by = %(settled_by)s,
    expires_at = %(expires_at)s, settled_at = %(settled_at)s,
    resumed_at = %(resumed_at)s, resumed_by = %(resumed_by)s, audit_hash = %(audit_hash)s
where id = %(id)s
"""
_SELECT: LiteralString = "select * from boring.approval "
_DUE = """
select id from boring.approval where status = 'open' and expires_at <= %s order by expires_at
for update skip locked limit 1
"""


_FOLLOWED: LiteralString = """
exists (
    select from boring.run as later
    where later.thread_id = approval.thread_id and later.run_id <> approval.run_id
        and later.received_at > approval.created_at
        and (later.question <> '' or later.turn_id is null or exists (
            select from boring.plan
            where run_id in (approval.run_id, (
                    select own.run_id from boring.run as own
                    where own.thread_id = approval.thread_id and own.received_at <= approval.created_at
                    order by own.received_at desc limit 1))
                and starts_with(place, approval.thread_id)
                and substr(place, length(approval.thread_id) + 1) ~ '^(#[0-9]+)?$'))
        and (later.turn_id is null or later.turn_id is distinct from (
            select own.turn_id from boring.run as own
            where own.thread_id = approval.thread_id and own.received_at <= approval.created_at
            order by own.received_at desc limit 1)))
"""
"""Whether a message of the user has come into the thread since, which is another turn than the request's.

A message without text, or one that was sent again under its id, is a run without a question. So is an agent
that another one's graph runs after ours: that overtakes nothing. The places of the plans tell them apart. A
call of a recorded graph is a turn without a name, and another one than any.
"""
_OVERTAKEN: LiteralString = "settled_at is null and " + _FOLLOWED
_LEFT: LiteralString = (
    "where settled_at is not null and settled_by = %s and resumed_at is null and not (" + _FOLLOWED + ") "
    "order by settled_at"
)


def hash_of(arguments: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a call's arguments, the same in whatever order they stand."""
    canonical = json.dumps(storable(dict(arguments)), sort_keys=True, default=str, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


async def add_approval(connection: AsyncConnection[DictRow], new: NewApproval) -> bool:
    """Add a request in an open transaction; return whether it was not there before."""
    values = {name: storable(getattr(new, name)) for name in _names(NewApproval)}
    for name in ("arguments", "arguments_schema", "chain", "roles"):
        values[name] = Json(dict(values[name]))
    return await (await connection.execute(_INSERT, values)).fetchone() is not None


async def write_approval(connection: AsyncConnection[DictRow], row: ApprovalRow) -> None:
    """Write back a request that was locked, in the same transaction."""
    values = {name: storable(getattr(row, name)) for name in _names(ApprovalRow)}
    for name in ("arguments", "chain", "roles", "edit"):
        values[name] = None if values[name] is None else Json(values[name])
    await connection.execute(_UPDATE, values)


async def locked_approval(connection: AsyncConnection[DictRow], approval_id: UUID) -> ApprovalRow | None:
    """Return a request, nobody else being able to change it until the open transaction ends."""
    found = await connection.execute(_SELECT + "where id = %s for update", (approval_id,))
    row = await found.fetchone()
    return ApprovalRow(**row) if row is not None else None


async def due_approval(connection: AsyncConnection[DictRow], now: datetime) -> UUID | None:
    """Return a request that is overdue and that nobody else is at, locked until the transaction ends."""
    row = await (await connection.execute(_DUE, (now,))).fetchone()
    return row["id"] if row is not None else None


async def overtaken_approval(
    connection: AsyncConnection[DictRow], approval_id: UUID | None = None
) -> ApprovalRow | None:
    """Return a request that a new message in its thread overtook, locked until the transaction ends.

    Args:
        connection: in an open transaction.
        approval_id: the one that is looked at; unset, any that nobody else is at.
    """
    where: LiteralString = "where (%(id)s::uuid is null or id = %(id)s) and " + _OVERTAKEN
    lock: LiteralString = " limit 1 for update" + (" skip locked" if approval_id is None else "")
    row = await (await connection.execute(_SELECT + where + lock, {"id": approval_id})).fetchone()
    return ApprovalRow(**row) if row is not None else None


async def approval_by_key(database: Database, key: str) -> ApprovalRow | None:
    """Return the request about an action, or None where there is none."""
    rows = await _rows(database, "where key = %s", (key,))
    return rows[0] if rows else None


async def approvals_left(database: Database, settled_by: str) -> list[ApprovalRow]:
    """Return the requests that were settled by somebody, and whose run nobody has taken up since."""
    return await _rows(database, _LEFT, (settled_by,))


async def approvals_named(
    database: Database, beginning: str, *, tenant: str | None = None
) -> list[ApprovalRow]:
    """Return the requests whose id begins like this, or only those of a tenant."""
    pattern = storable_text(beginning).replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
    where: LiteralString = (
        "where id::text like %(pattern)s and (%(tenant)s::text is null or tenant = %(tenant)s)"
        " order by created_at"
    )
    return await _rows(database, where, {"pattern": pattern, "tenant": tenant})


async def approvals(
    database: Database,
    *,
    settled: bool = False,
    tenant: str | None = None,
    thread_id: str | None = None,
    limit: int = 100,
) -> list[ApprovalRow]:
    """Return the requests of all threads, the oldest first. What was overtaken waits for nobody.

    Args:
        database: holds them.
        settled: also those that are settled; then the newest come first.
        tenant: only those of this tenant.
        thread_id: only those of this thread.
        limit: most rows.
    """
    where: LiteralString = (
        "where (%(settled)s or settled_at is null and not (" + _OVERTAKEN + "))"
        " and (%(tenant)s::text is null or tenant = %(tenant)s)"
        " and (%(thread_id)s::text is null or thread_id = %(thread_id)s)"
        " order by case when %(settled)s then now() - created_at else created_at - now() end limit %(limit)s"
    )
    values = {"settled": settled, "tenant": tenant, "thread_id": thread_id, "limit": limit}
    return await _rows(database, where, values)


async def time_of(connection: AsyncConnection[DictRow]) -> datetime:
    """Return what time it is by the database: one clock for all who decide and sweep."""
    row = await (await connection.execute("select clock_timestamp() as now")).fetchone()
    if row is None:
        raise RuntimeError("the database gave no time")
    return row["now"]


def _names(form: type[NewApproval]) -> list[str]:
    return [one.name for one in fields(form)]


async def _rows(database: Database, where: LiteralString, values: Any) -> list[ApprovalRow]:
    async with database.pool.connection() as connection:
        found = await connection.execute(_SELECT + where, values)
        return [ApprovalRow(**row) for row in await found.fetchall()]
