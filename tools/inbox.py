"""Requests for approval: asked, decided, overdue, taken up. Each change commits with its audit row.

Locks are taken in one order: the request, the questions about it, its run, the audit record.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid4

from psycopg import AsyncConnection
from psycopg.rows import DictRow
from psycopg.types.json import Jsonb
from pydantic import TypeAdapter

from core.database import Database
from core.text import storable, storable_text
from guardrails.approval import Demand
from guardrails.chain import Chain, Lapse, Roles, begun, lapsed
from memory.approvals import (
    ApprovalRow,
    NewApproval,
    add_approval,
    due_approval,
    hash_of,
    locked_approval,
    overtaken_approval,
    time_of,
    write_approval,
)
from memory.runs import mark_run
from observability.audit import AuditEntry, append_audit, plain
from tools.actions import Action

EXPIRY: Final = "expiry"
"""Who decided, where nobody did in time."""
NEW_MESSAGE: Final = "new message"
"""Who decided, where the user said something else meanwhile and the call is not made any more."""
NO_PERSONS: Final = frozenset({EXPIRY, NEW_MESSAGE})
_BOOKKEEPING = {"id", "arguments_schema", "audit_hash"}
"""What is not put on record of a request; the arguments are validated anew before the call."""
_CHAINS = TypeAdapter(Chain)
_ANSWER = """
update boring.question set answer = %(answer)s, answered_by = %(by)s, answered_at = now()
where key = %(key)s and kind = 'approval' and answer is null
    and (%(attempt)s::int is null or attempt = %(attempt)s)
"""


@dataclass(frozen=True, slots=True)
class Event:
    """What is put on record of a change.

    Attributes:
        name: see `observability.audit.AuditEntry`.
        who: the person, `expiry` or `new message`.
        role: in which role.
    """

    name: str
    who: str
    role: str = ""


def chain_of(row: NewApproval) -> Chain:
    """Return how far the chain of a request has come."""
    return _CHAINS.validate_python(row.chain)


def as_json(chain: Chain) -> dict[str, Any]:
    """Return a chain as it is kept."""
    return _CHAINS.dump_python(chain, mode="json")


def roles_of(demand: Demand, roles: Roles) -> dict[str, list[str]]:
    """Return the part of the directory that a demand asks for."""
    names = sorted({role for level in demand.levels for role in level.roles})
    return {name: sorted(set(roles.get(name, ()))) for name in names}


@dataclass(frozen=True, slots=True)
class Asked:
    """What a new request is made of.

    Attributes:
        action: the call.
        demand: what the policy asks for.
        schema: JSON schema of the arguments.
        requester: the user of the run.
        roles: who has which role.
    """

    action: Action
    demand: Demand
    schema: Mapping[str, Any]
    requester: str
    tenant: str
    roles: Roles


def new_request(asked: Asked, now: datetime) -> NewApproval:
    """Return a request that has no row yet."""
    chain = begun(asked.demand, now)
    return NewApproval(
        id=uuid4(),
        key=asked.action.key,
        thread_id=asked.action.thread_id,
        run_id=asked.action.run_id,
        call_id=asked.action.call_id,
        tool=asked.action.tool,
        arguments=asked.action.arguments,
        arguments_hash=hash_of(asked.action.arguments),
        arguments_schema=asked.schema,
        requester=asked.requester,
        tenant=asked.tenant,
        reason=asked.demand.reason,
        chain=as_json(chain),
        roles=roles_of(asked.demand, asked.roles),
        expires_at=chain.due_at,
    )


async def put_request(connection: AsyncConnection[DictRow], new: NewApproval) -> None:
    """Put a request into the inbox in an open transaction, unless it is there. Comes last in it."""
    if not await add_approval(connection, new):
        return
    row = await locked_approval(connection, new.id)
    if row is None:
        raise RuntimeError(f"the request {new.id} was not written")
    await change(connection, row, replace(row, version=0), [Event("request", row.requester)])


async def now_of(database: Database) -> datetime:
    """Return what time it is by the database."""
    async with database.pool.connection() as connection:
        return await time_of(connection)


async def change(  # noqa: PLR0913 - each is a part of a change, and all are named at the call
    connection: AsyncConnection[DictRow],
    before: ApprovalRow,
    after: ApprovalRow,
    events: Sequence[Event],
    *,
    answer: Mapping[str, Any] | None = None,
    attempt: int | None = None,
) -> ApprovalRow:
    """Write a request that is locked, and put on record what happened to it. Comes last in a transaction.

    Args:
        connection: in whose transaction `before` was locked.
        before: the request as it stood.
        after: as it stands now.
        events: what happened.
        answer: what was said, for the questions that the run has put.
        attempt: the question that it is an answer to; unset, it is to all that are open.
    """
    now = await time_of(connection)
    after = _storable(after)
    if after.status not in {"open", "edited"} and after.settled_at is None:
        after = replace(after, settled_at=now)
    after = replace(after, version=after.version + 1)
    after = replace(after, expires_at=chain_of(after).due_at if after.status == "open" else None)
    if answer is not None and (attempt is not None or after.status != "open"):
        values = {
            "key": after.key,
            "by": storable_text(events[-1].who),
            "answer": Jsonb(storable(dict(answer))),
        }
        await connection.execute(_ANSWER, {**values, "attempt": attempt if after.status == "open" else None})
    sealed = after.audit_hash
    for event in events:
        sealed = await append_audit(connection, _entry(event, before, after), at=now)
        before = after
    after = replace(after, audit_hash=sealed)
    await write_approval(connection, after)
    return after


async def standing(database: Database, approval_id: UUID) -> ApprovalRow | None:
    """Return a request, closed if it was overtaken, and what is overdue in it treated by its rule."""
    async with database.pool.connection() as connection, connection.transaction():
        row = await locked_approval(connection, approval_id)
        if row is None or row.settled_at is not None:
            return row
        if await overtaken_approval(connection, row.id) is not None:
            return await _closed(connection, row)
        now = await time_of(connection)
        return await _lapsed(connection, row, now) if row.expires_at and row.expires_at <= now else row


async def sweep(database: Database, *, now: datetime | None = None) -> list[ApprovalRow]:
    """Treat every overdue request by its rule; any number of processes may do so at once.

    Args:
        database: holds the requests.
        now: what time it is; unset, that of the database.

    Returns:
        The requests that were overdue, as they stand now. The runs of those that are settled can go on,
        unless a new message overtook them.
    """
    treated: list[ApprovalRow] = []
    while True:
        async with database.pool.connection() as connection, connection.transaction():
            at = now or await time_of(connection)
            due = await due_approval(connection, at)
            row = await locked_approval(connection, due) if due is not None else None
            if row is None:
                return treated
            is_overtaken = await overtaken_approval(connection, row.id) is not None
            treated.append(await (_closed(connection, row) if is_overtaken else _lapsed(connection, row, at)))


async def close_overtaken(database: Database) -> list[ApprovalRow]:
    """Close every request that a new message in its thread overtook; return them as they stand now."""
    closed: list[ApprovalRow] = []
    while True:
        async with database.pool.connection() as connection, connection.transaction():
            row = await overtaken_approval(connection)
            if row is None:
                return closed
            closed.append(await _closed(connection, row))


async def take_up(database: Database, approval_id: UUID, by: str) -> bool:
    """Record that a settled request's run goes on; return whether nobody has recorded that before."""
    async with database.pool.connection() as connection, connection.transaction():
        row = await locked_approval(connection, approval_id)
        if row is None or row.settled_at is None or row.resumed_at is not None:
            return False
        now = await time_of(connection)
        await mark_run(connection, row.run_id, "running")
        after = replace(row, resumed_at=now, resumed_by=by)
        await change(connection, row, after, [Event("resume", by)])
    return True


async def give_back(database: Database, approval_id: UUID, by: str) -> None:
    """Record that who took up a settled request could not go on with its run."""
    async with database.pool.connection() as connection, connection.transaction():
        row = await locked_approval(connection, approval_id)
        if row is not None and row.resumed_by == storable_text(by):
            after = replace(row, resumed_at=None, resumed_by=None)
            await change(connection, row, after, [Event("release", by)])


def _storable(row: ApprovalRow) -> ApprovalRow:
    """Return a request as it can be stored, so that it is told as it stands in its row."""
    return replace(row, **{one.name: storable(getattr(row, one.name)) for one in fields(row)})


async def _closed(connection: AsyncConnection[DictRow], row: ApprovalRow) -> ApprovalRow:
    said = "It was overtaken by a new message in the thread."
    answer = {"decisions": [{"type": "reject", "message": said}], "by": NEW_MESSAGE}
    after = replace(row, status="denied", result=said, settled_by=NEW_MESSAGE)
    return await change(connection, row, after, [Event("overtake", NEW_MESSAGE)], answer=answer)


async def _lapsed(connection: AsyncConnection[DictRow], row: ApprovalRow, now: datetime) -> ApprovalRow:
    chain, lapses = lapsed(chain_of(row), now)
    after, answer = replace(row, chain=as_json(chain)), None
    if any(one.state == "expired" for one in chain.levels):
        said = f"Nobody decided in time as {', '.join(one.role for one in lapses if one.then == 'deny')}."
        after = replace(after, status="denied", result=said, settled_by=EXPIRY)
        answer = {"decisions": [{"type": "reject", "message": said}], "by": EXPIRY}
    elif chain.is_agreed:
        after = replace(after, status="approved", settled_by=EXPIRY)
        answer = {"decisions": [{"type": "approve"}], "by": EXPIRY}
    return await change(connection, row, after, [_event(one) for one in lapses], answer=answer)


def _event(lapse: Lapse) -> Event:
    return Event("escalate" if lapse.then == "escalate" else "expire", EXPIRY, lapse.role)


def _entry(event: Event, before: ApprovalRow, after: ApprovalRow) -> AuditEntry:
    return AuditEntry(
        event=event.name,
        subject=str(after.id),
        thread_id=after.thread_id,
        run_id=after.run_id,
        tool=after.tool,
        who=event.who,
        role=event.role,
        arguments_hash=after.arguments_hash,
        before={} if event.name == "request" else _told(before),
        after=_told(after),
    )


def _told(row: ApprovalRow) -> dict[str, Any]:
    """Return the columns of a request for the record, by which its row is verified later."""
    names = [one.name for one in fields(row) if one.name not in _BOOKKEEPING]
    return plain({name: getattr(row, name) for name in names})
