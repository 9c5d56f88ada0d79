"""The record of runs. A run is complete when its row says so, whatever its checkpoints look like."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, LiteralString

from psycopg import AsyncConnection
from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from core.context import RunContext
from core.database import Database
from core.forgetting_gate import pass_gate
from memory.extractions import Extraction, enqueue

if TYPE_CHECKING:
    from core.state import Answer, Turn


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run as it is recorded. Tokens and status are final once `finished_at` is set."""

    thread_id: str
    run_id: str
    graph: str
    status: str
    question: str | None
    reason: str | None
    input_tokens: int
    output_tokens: int
    context: dict[str, Any]
    """The fields of the `RunContext` it ran under."""
    started_at: datetime
    finished_at: datetime | None


_SELECT: LiteralString = (
    "select thread_id, run_id, graph, status, question, reason, input_tokens, output_tokens, "
    "context, started_at, finished_at from boring.run "
)


_BEGIN = """
insert into boring.run (thread_id, run_id, graph, status, question, context, received_at)
values (%(thread_id)s, %(run_id)s, %(graph)s, 'running', %(question)s, %(context)s,
    case when %(received)s then now() end)
on conflict (run_id) do update set received_at = coalesce(run.received_at, excluded.received_at)
"""


async def begin_run(  # noqa: PLR0913 - a row's columns, named at the call
    database: Database,
    *,
    thread_id: str,
    run_id: str,
    graph: str,
    question: str,
    context: RunContext,
    received: bool = False,
) -> None:
    """Record that a run has begun. Told twice of the same run, it keeps the first record.

    Args:
        database: holds the record.
        thread_id: the thread.
        run_id: the run.
        graph: the graph's name.
        question: what is asked; empty where that is no text.
        context: what it runs under.
        received: no agent in the run receives a turn of its own: what is asked has arrived by this, and
            what has waited on the thread waits no more.
    """
    begun = _begun(thread_id=thread_id, run_id=run_id, graph=graph, question=question, context=context)
    async with database.pool.connection() as connection:
        await connection.execute(_BEGIN, {**begun, "received": received})


_RECEIVE = """
with earlier as (
    select 1 from boring.run
    where thread_id = %(thread_id)s and (run_id = %(run_id)s or turn_id = %(turn_id)s)
        and received_at is not null
), received as (
    insert into boring.run (thread_id, run_id, graph, status, question, context, turn_id, received_at)
    values (%(thread_id)s, %(run_id)s, %(graph)s, 'running', %(question)s, %(context)s, %(turn_id)s, now())
    on conflict (run_id) do update set turn_id = excluded.turn_id, received_at = now()
)
select not exists (select from earlier) as fresh
"""


async def receive_turn(  # noqa: PLR0913 - a row's columns, named at the call
    database: Database,
    *,
    thread_id: str,
    run_id: str,
    graph: str,
    question: str,
    context: RunContext,
    turn_id: str,
) -> bool:
    """Record that a run works on a turn; return whether nobody has worked on this turn before."""
    begun = _begun(thread_id=thread_id, run_id=run_id, graph=graph, question=question, context=context)
    async with database.pool.connection() as connection:
        row = await (await connection.execute(_RECEIVE, {**begun, "turn_id": turn_id})).fetchone()
    return bool(row and row["fresh"])


def _begun(*, context: RunContext, **named: str) -> dict[str, Any]:
    """Return the columns of a run that begins."""
    return {**named, "context": Jsonb(asdict(context))}


async def mark_run(
    connection: AsyncConnection[DictRow], run_id: str, status: Literal["running", "interrupted"]
) -> None:
    """Record that a run waits for a person, or goes on."""
    await connection.execute(
        "update boring.run set status = %s where run_id = %s and finished_at is null", (status, run_id)
    )


async def charge_run(database: Database, turn: Turn) -> None:
    """Add to a run that goes on what an agent in it has used, who has ended its turn.

    An agent that is killed just then, and ends its turn again, is charged twice.
    """
    async with database.pool.connection() as connection:
        await connection.execute(
            "update boring.run set input_tokens = input_tokens + %s, output_tokens = output_tokens + %s "
            "where run_id = %s and finished_at is null",
            (turn["input_tokens"], turn["output_tokens"], turn["run_id"]),
        )


_FINISH = """
update boring.run set status = %s, reason = %s, input_tokens = greatest(input_tokens, %s),
    output_tokens = greatest(output_tokens, %s), finished_at = now()
where run_id = %s and finished_at is null
"""


async def finish_run(
    database: Database, turn: Turn, answer: Answer, *, learn: Extraction | None = None
) -> bool:
    """Record how a run ended. Told twice of the same end, or of a run that is forgotten, it changes nothing.

    Args:
        database: holds the record.
        turn: what the run has used; less than what agents in it were charged for does not count.
        answer: how it ended.
        learn: what is to be learnt from the turn, put into the queue by the same commit.

    Returns:
        Whether there is a record of the run; there is none once its user is forgotten.
    """
    status = "finished" if answer["status"] == "answered" else "stopped"
    if answer["status"] == "failed":
        status = "failed"
    values = (status, answer["status"], turn["input_tokens"], turn["output_tokens"], turn["run_id"])
    async with database.pool.connection() as connection:
        if learn is None:
            finished = await connection.execute(_FINISH, values)
        else:
            async with connection.transaction():
                await pass_gate(connection, learn.tenant, learn.user)
                finished = await connection.execute(_FINISH, values)
                await enqueue(connection, learn)
        if finished.rowcount:
            return True
        known = await connection.execute("select from boring.run where run_id = %s", (turn["run_id"],))
        return bool(known.rowcount)


async def latest_run(database: Database, thread_id: str) -> RunRow | None:
    """Return the newest run of a thread, or None where the thread is unknown."""
    rows = await _select(database, "where thread_id = %s order by started_at desc limit 1", (thread_id,))
    return rows[0] if rows else None


async def turn_of_run(database: Database, run_id: str) -> str | None:
    """Return the name of the turn that a run has received, or None where it has received none yet."""
    async with database.pool.connection() as connection:
        found = await connection.execute("select turn_id from boring.run where run_id = %s", (run_id,))
        row = await found.fetchone()
    return row["turn_id"] if row is not None else None


async def recent_threads(database: Database, limit: int) -> list[RunRow]:
    """Return the newest run of each thread, newest thread first."""
    return await _select(
        database,
        "where run_id in (select distinct on (thread_id) run_id from boring.run "
        "order by thread_id, started_at desc) order by started_at desc limit %s",
        (limit,),
    )


async def _select(database: Database, where: LiteralString, values: tuple[Any, ...]) -> list[RunRow]:
    async with database.pool.connection() as connection:
        found = await connection.execute(_SELECT + where, values)
        return [RunRow(**row) for row in await found.fetchall()]
