"""The queue of turns that facts are still to be learnt from: a row for each, until it is learnt or given up.

A row is there from the moment the turn's end is recorded, so a killed process loses none. One worker at a
time has it; when that worker is gone (see `core.worker`), the next one may take it. What was said in the turn
leaves the row when it is learnt from.
"""

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, LiteralString

from psycopg import AsyncConnection
from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from core.database import Database
from core.text import storable, storable_text
from core.worker import LOCK_OF

MAX_ATTEMPTS: Final = 3
"""How often a turn is tried before it is given up; an attempt counts from its beginning."""
MAX_SAID_CHARS: Final = 3000
"""Most characters of the user's message that are learnt from."""
MAX_FOUND_CHARS: Final = 1500
"""Most characters of all that tools have found."""
_WORKER_ENDED: Final = f"the process ended while it learnt, in the last of {MAX_ATTEMPTS} attempts"
Speaker = Literal["user", "agent", "tool"]


@dataclass(frozen=True, slots=True)
class Said:
    """One message of a turn, as facts are learnt from it.

    Attributes:
        by: the user, whose words are trusted; the agent or a tool, whose words are not.
        text: what was said or found, cut to a length.
        id: of the message.
    """

    by: Speaker
    text: str
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Extraction:
    """A turn that facts are to be learnt from.

    Attributes:
        graph: whose turn it was.
        messages: what was said, in order.
    """

    run_id: str
    thread_id: str
    tenant: str
    user: str
    graph: str
    messages: Sequence[Said]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which turns are taken from the queue.

    Attributes:
        graph: only those of this graph.
        tenant: only those of this tenant.
        failed: also those that were given up.
        but: runs that are left out.
    """

    graph: str | None = None
    tenant: str | None = None
    failed: bool = False
    but: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Spent:
    """The tokens that learning took."""

    input_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True, slots=True)
class GivenUp:
    """A turn that was given up, without what was said in it."""

    run_id: str
    thread_id: str
    attempts: int
    last_error: str | None


_log = logging.getLogger(__name__)
_ENQUEUE = """
insert into boring.extraction (run_id, thread_id, tenant, user_id, graph, messages)
select run_id, %(thread_id)s, %(tenant)s, %(user)s, %(graph)s, %(messages)s
from boring.run where run_id = %(run_id)s
on conflict (run_id) do nothing
"""
# One worker tests whether another is gone by its lock, which it gives back when the transaction ends.
_IS_GONE: LiteralString = "pg_try_advisory_xact_lock(" + LOCK_OF.replace("%s", "worker") + ")"
_GIVE_UP: LiteralString = (
    "update boring.extraction set state = 'failed', worker = null, finished_at = now(),"  # noqa: S608 - constant
    " last_error = %(error)s where run_id in (select run_id from boring.extraction"
    " where state = 'waiting' and attempts >= %(most)s"
    " and case when worker <> %(worker)s then " + _IS_GONE + " end for update skip locked) returning run_id"
)
_CLAIM: LiteralString = (
    "update boring.extraction set worker = %(worker)s, attempts = attempts + 1 where run_id = ("  # noqa: S608 - all of it is constant
    " select run_id from boring.extraction"
    " where (state = 'waiting' and attempts < %(most)s and due_at <= now()"
    " or %(failed)s and state = 'failed')"
    " and (%(graph)s::text is null or graph = %(graph)s)"
    " and (%(tenant)s::text is null or tenant = %(tenant)s) and run_id <> all(%(but)s)"
    " and exists (select from boring.run where run.run_id = extraction.run_id)"
    " and case when worker is null or worker = %(worker)s then true else " + _IS_GONE + " end"
    " order by enqueued_at for update skip locked limit 1"
    ") returning run_id, thread_id, tenant, user_id, graph, messages"
)
_CHARGE = """
update boring.run set input_tokens = input_tokens + %(input)s, output_tokens = output_tokens + %(output)s
where run_id = %(run_id)s
"""
_FINISH = """
update boring.extraction set state = 'done', worker = null, finished_at = now(), messages = '[]',
    learnt = %(learnt)s, input_tokens = input_tokens + %(input)s, output_tokens = output_tokens + %(output)s,
    last_error = null
where run_id = %(run_id)s and worker = %(worker)s and state <> 'done'
"""
_PUT_BACK = """
update boring.extraction set worker = null, last_error = %(error)s,
    input_tokens = input_tokens + %(input)s, output_tokens = output_tokens + %(output)s,
    state = case when attempts >= %(most)s then 'failed' else 'waiting' end,
    finished_at = case when attempts >= %(most)s then now() end,
    due_at = now() + make_interval(secs => %(delay)s * power(2, attempts - 1))
where run_id = %(run_id)s and worker = %(worker)s and state <> 'done'
"""
_DUE = """
select extract(epoch from min(due_at) - now())::float8 as seconds from boring.extraction
where state = 'waiting' and worker is null and graph = %s
"""
_LET_GO = """
update boring.extraction set worker = null, attempts = attempts - 1
where run_id = %(run_id)s and worker = %(worker)s and state <> 'done'
"""


async def enqueue(connection: AsyncConnection[DictRow], new: Extraction) -> None:
    """Add a turn to the queue in an open transaction, in which `pass_gate` came first.

    One that was added before changes nothing, and neither does one whose run is gone with its user.
    """
    messages = Jsonb(storable([asdict(one) for one in new.messages]))
    values = {**asdict(new), "messages": messages}
    await connection.execute(_ENQUEUE, values)


async def claimed(database: Database, worker: str, wanted: Wanted) -> Extraction | None:
    """Take the oldest turn that is due, which then nobody else gets; None where there is none.

    A turn whose worker was gone before the end of its last attempt is given up.

    Args:
        database: holds the queue.
        worker: the id of this process's worker.
        wanted: narrows what is taken.
    """
    values = {"worker": worker, **asdict(wanted), "but": list(wanted.but), "most": MAX_ATTEMPTS}
    async with database.pool.connection() as connection, connection.transaction():
        given_up = await connection.execute(_GIVE_UP, {**values, "error": _WORKER_ENDED})
        for gone in await given_up.fetchall():
            _log.error("The run %s is not learnt from: %s", gone["run_id"], _WORKER_ENDED)
        row = await (await connection.execute(_CLAIM, values)).fetchone()
    if row is None:
        return None
    told: list[dict[str, Any]] = row["messages"]
    said = [Said(**one) for one in told]
    return Extraction(row["run_id"], row["thread_id"], row["tenant"], row["user_id"], row["graph"], said)


async def finish(
    connection: AsyncConnection[DictRow], run_id: str, worker: str, *, learnt: int, spent: Spent
) -> bool:
    """Record in an open transaction that a turn is learnt from, and charge its run.

    Returns:
        Whether the turn was still this worker's; else nothing is recorded.
    """
    values = {"run_id": run_id, "worker": worker, "learnt": learnt, **_tokens(spent)}
    finished = await connection.execute(_FINISH, values)
    if finished.rowcount:
        await connection.execute(_CHARGE, values)
    return bool(finished.rowcount)


async def put_back(  # noqa: PLR0913 - named at the call
    database: Database, run_id: str, worker: str, *, error: str, spent: Spent, delay_s: float
) -> None:
    """Record that learning failed: the turn is due again later, or is given up after `MAX_ATTEMPTS`.

    Args:
        database: holds the queue.
        run_id: of the turn.
        worker: the id of this process's worker.
        error: what went wrong, for the operator.
        spent: what the attempt took, charged to the run.
        delay_s: until the second attempt; doubled for each one after.
    """
    values = {"run_id": run_id, "worker": worker, "error": storable_text(error)[:500], **_tokens(spent)}
    values |= {"most": MAX_ATTEMPTS, "delay": delay_s}
    async with database.pool.connection() as connection, connection.transaction():
        back = await connection.execute(_PUT_BACK, values)
        if back.rowcount:
            await connection.execute(_CHARGE, values)


async def due_in_s(database: Database, graph: str) -> float | None:
    """Return the seconds until a turn of this graph is due that nobody has; None where there is none."""
    async with database.pool.connection() as connection:
        found = await connection.execute(_DUE, (graph,))
        row = await found.fetchone()
    return row["seconds"] if row is not None else None


async def let_go(database: Database, run_id: str, worker: str) -> None:
    """Give a turn back untried, for whoever comes next."""
    async with database.pool.connection() as connection:
        await connection.execute(_LET_GO, {"run_id": run_id, "worker": worker})


async def given_up(database: Database, tenant: str | None = None) -> list[GivenUp]:
    """Return the turns that were given up and can be tried again, the oldest first.

    Args:
        database: holds the queue.
        tenant: only those of this tenant.
    """
    async with database.pool.connection() as connection:
        found = await connection.execute(
            "select run_id, thread_id, attempts, last_error from boring.extraction where state = 'failed'"
            " and (%(tenant)s::text is null or tenant = %(tenant)s) order by enqueued_at",
            {"tenant": tenant},
        )
        return [GivenUp(**row) for row in await found.fetchall()]


def _tokens(spent: Spent) -> dict[str, Any]:
    return {"input": spent.input_tokens, "output": spent.output_tokens}
