"""Forgets a user wholly, in one transaction, and proves it by counting what is left."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import uuid4

from psycopg import AsyncConnection
from psycopg.rows import DictRow

from core.database import Database
from core.errors import ThreadBusyError
from core.forgetting_gate import pass_gate
from core.process import current_process
from core.worker import current_worker
from memory.approvals import time_of
from memory.forgetting import Traces, count, erase, place_of, traces
from memory.store_building import without_indexes_of
from observability.audit import AuditEntry, append_audit
from observability.redaction import COUNT, DECIDED, redact_rows, rows_to_redact

AUDIT = "rows of the audit record"
_HOLD = """
insert into boring.thread_lease as lease (thread_id, worker)
select thread_id, %(worker)s from unnest(%(threads)s::text[]) as thread_id order by thread_id
on conflict (thread_id) do update set worker = excluded.worker
"""
_MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was forgotten of a user.

    Attributes:
        found: rows by part, as they were before.
        left: the same after, counted in a transaction of its own.
        threads: how many threads there were.
        shared: threads that went although others had asked in them too.
        kept: how many rows of the audit record tell what the user decided on requests of others. They stay.
    """

    tenant: str
    user: str
    found: Mapping[str, int]
    left: Mapping[str, int] = field(default_factory=dict[str, int])
    threads: int = 0
    shared: tuple[str, ...] = ()
    kept: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether nothing is left."""
        return not any(self.left.values())


async def look_for_user(tenant: str, user: str) -> Forgotten:
    """Return what there is of a user, and forget nothing: `found` and `left` are the same."""
    database = await (await current_process()).database()
    async with database.pool.connection() as connection, connection.transaction():
        of = await traces(connection, tenant, user)
        there = await _counted(connection, of)
        kept = await _kept(connection, of)
    return Forgotten(tenant, user, there, there, len(of.threads), of.shared, kept)


async def forget_user(tenant: str, user: str, *, by: str, why: str = "asked to") -> Forgotten:
    """Forget a user: memories, threads with all that is kept of them, what they wrote into business records.

    A thread goes as a whole, also where others have asked in it. Rows of tickets and refunds stay without the
    user's words and name; rows of the audit record that are about the user's requests stay without their
    content, see `observability.redaction`. Documents are the tenant's and stay, and so do decisions on
    requests of others. It happens wholly or not at all.

    Args:
        tenant: whose user.
        user: as `RunContext.user` named them.
        by: who has them forgotten, for the audit record.
        why: for the audit record; it may not name the user.

    Raises:
        ThreadBusyError: somebody is working on a thread of the user.
        DatabaseError: the database can't be had.
    """
    database = await (await current_process()).database()
    worker = (await current_worker()).id
    async with database.pool.connection() as connection, connection.transaction():
        _check_idle(await traces(connection, tenant, user))  # before an index is dropped
    async with (
        without_indexes_of(tenant, user, place_of(user)),
        database.pool.connection() as connection,
        connection.transaction(),
    ):
        await pass_gate(connection, tenant, user, alone=True)
        of = await traces(connection, tenant, user)
        _check_idle(of)
        # Whoever begins to work on one of the threads waits for the end of this transaction.
        await connection.execute(_HOLD, {"worker": worker, "threads": list(of.threads)})
        found = await _counted(connection, of)
        await erase(connection, of)
        await _redact(connection, of, by="the user" if by == user else by, why=why)
        kept = await _kept(connection, of)
    return Forgotten(tenant, user, found, await _left(database, of), len(of.threads), of.shared, kept)


async def _redact(connection: AsyncConnection[DictRow], of: Traces, *, by: str, why: str) -> None:
    listed = await rows_to_redact(connection, list(of.threads), list(of.runs))
    if not listed:
        return
    after = {"why": why, "rows": listed}
    entry = AuditEntry("redact", str(uuid4()), "", "", "", by, "", "", {}, after)
    await append_audit(connection, entry, at=await time_of(connection))
    row = await (await connection.execute("select max(number) as n from boring.audit")).fetchone()
    await redact_rows(connection, listed, by=row["n"] if row else 0)


async def _left(database: Database, of: Traces) -> dict[str, int]:
    """Count what is left: of what was found before, and of what is found of the user now."""
    async with database.pool.connection() as connection, connection.transaction():
        now = await traces(connection, of.tenant, of.user)
        threads, runs = {*of.threads, *now.threads}, {*of.runs, *now.runs}
        both = Traces(of.tenant, of.user, tuple(threads), tuple(runs), (), ())
        return await _counted(connection, both)


async def _counted(connection: AsyncConnection[DictRow], of: Traces) -> dict[str, int]:
    counted = await count(connection, of)
    values = {"threads": list(of.threads), "runs": list(of.runs)}
    row = await (await connection.execute(COUNT, values)).fetchone()
    return {**counted, AUDIT: row["n"] if row else 0}


async def _kept(connection: AsyncConnection[DictRow], of: Traces) -> int:
    """Count the user's decisions that stay, in the transaction of `traces`."""
    row = await (await connection.execute(DECIDED, of.values())).fetchone()
    return row["n"] if row else 0


def _check_idle(of: Traces) -> None:
    """Refuse to forget whom somebody works for.

    Raises:
        ThreadBusyError: somebody does.
    """
    if not of.busy:
        return
    named = ", ".join(of.busy[:_MOST_NAMED]) + (" and others" if len(of.busy) > _MOST_NAMED else "")
    raise ThreadBusyError(
        f"Somebody is working on {len(of.busy)} of the threads of {of.user!r}: {named}. Nothing was "
        "forgotten. Wait until it has ended, or stop it, and try again."
    )
