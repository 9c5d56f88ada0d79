"""The journal of effects: an intent before a call, its outcome after it, each one commit.

The key of an entry is what the action is (thread, call, tool, arguments), not where a run believes it
stands. A call that finds its outcome is not made; one that finds its intent alone is in doubt.
"""

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, LiteralString

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import DictRow
from psycopg.types.json import Jsonb
from tenacity import (
    AsyncRetrying,
    before_sleep_log,
    retry_if_exception_type,
    stop_after_delay,
    wait_random_exponential,
)

from core.database import Database
from core.errors import ThreadBusyError
from core.state import OpenQuestion, Source
from core.text import storable
from memory.plans import PlanRecord
from memory.runs import mark_run
from tools.questions import ask

OUTCOME_PATIENCE_S: Final = 30.0
"""How long the outcome of a call is kept trying to be written when the database is away."""
_log = logging.getLogger(__name__)
_IS_OURS: LiteralString = """
select 1 from boring.thread_lease where thread_id = %(thread_id)s and worker = %(worker)s for share
"""
_INTEND: LiteralString = f"""
with lease as ({_IS_OURS}),
held as (select %(thread_id)s = '' or exists (select from lease) as held),
recorded as (
    insert into boring.plan (thread_id, basis, plan_id, turn_id, run_id, messages, turn)
    select %(thread_id)s, %(basis)s::text, %(plan_id)s, %(turn_id)s, %(plan_run_id)s, %(messages)s, %(turn)s
    from held where held and %(basis)s::text is not null
    on conflict (thread_id, basis) do nothing
), fresh as (
    insert into boring.effect (key, thread_id, run_id, call_id, tool, effect, arguments, idempotency_key)
    select %(key)s, %(thread_id)s, %(run_id)s, %(call_id)s, %(tool)s, %(effect)s, %(arguments)s, coalesce((
        select idempotency_key from boring.effect
        where thread_id = %(thread_id)s and run_id = %(run_id)s and tool = %(tool)s
            and arguments = %(arguments)s::jsonb and outcome = 'unknown' and effect = 'idempotent'
        order by intended_at limit 1), %(key)s)
    from held where held
    on conflict (key) do nothing returning idempotency_key
)
select held.held, fresh.idempotency_key as fresh_key, effect.idempotency_key, effect.attempt, effect.outcome,
       effect.result, effect.resolved_by, plan.plan_id as known_plan, effect.intended_at
from held left join fresh on true
left join boring.effect on effect.key = %(key)s
left join boring.plan on plan.thread_id = %(thread_id)s and plan.basis = %(basis)s
"""  # noqa: S608 - put together from constants
_RECORD: LiteralString = f"""
with lease as ({_IS_OURS}), recorded as (
    insert into boring.plan (thread_id, basis, plan_id, turn_id, run_id, messages, turn)
    select %(thread_id)s, %(basis)s::text, %(plan_id)s, %(turn_id)s, %(plan_run_id)s, %(messages)s, %(turn)s
    from lease where %(basis)s::text is not null
    on conflict (thread_id, basis) do update set plan_id = plan.plan_id returning plan_id
)
select recorded.plan_id from lease left join recorded on true
"""  # noqa: S608 - put together from constants
_FINISH: LiteralString = """
update boring.effect set outcome = %(outcome)s, result = %(result)s, resolved_by = %(by)s, finished_at = now()
where key = %(key)s and outcome is null
"""
_REARM: LiteralString = f"""
with lease as ({_IS_OURS})
update boring.effect set attempt = attempt + 1, intended_at = now()
where key = %(key)s and attempt = %(attempt)s and outcome is null
    and (%(thread_id)s = '' or exists (select from lease))
returning attempt
"""  # noqa: S608 - put together from constants


@dataclass(frozen=True, slots=True)
class Action:
    """A call with an effect, named by what it is."""

    thread_id: str
    run_id: str
    call_id: str
    tool: str
    effect: str
    arguments: Mapping[str, Any]

    @property
    def key(self) -> str:
        """The name of the action: 64 hexadecimal digits."""
        parts = [self.thread_id, self.call_id, self.tool, self.arguments]
        canonical = json.dumps(parts, sort_keys=True, default=str, separators=(",", ":"))
        return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the model was told of a finished call."""

    outcome: str
    text: str
    sources: tuple[Source, ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """What the journal holds of an action.

    Attributes:
        fresh: the intent was written now; nobody has begun the call before.
        idempotency_key: what the call says who it is by: its key, or that of an equal call whose end is
            unknown.
        attempt: how often the call was meant to be made.
        recorded: how it ended, where that is known.
        resolved_by: who settled a doubt.
        intended_at: ISO 8601; empty where `fresh`.
    """

    fresh: bool
    idempotency_key: str
    attempt: int = 1
    recorded: Recorded | None = None
    resolved_by: str | None = None
    intended_at: str = ""


class Journal:
    """The journal, as one worker writes it."""

    def __init__(self, database: Database, worker_id: str) -> None:
        self.database = database
        self._worker_id = worker_id

    async def intend(
        self, action: Action, plan: PlanRecord | None, *, connection: AsyncConnection[DictRow] | None = None
    ) -> Entry:
        """Record that an action is about to be done, with the plan it is part of, in one commit.

        Args:
            action: what is to be done.
            plan: the plan, where it is not known to be durable already.
            connection: an open transaction to do it in.

        Raises:
            ThreadBusyError: another worker has taken the thread over, or made another plan for it.
        """
        if connection is None:
            async with self.database.pool.connection() as own:
                return await self.intend(action, plan, connection=own)
        values = {**_action_values(action), **_plan_values(plan), "worker": self._worker_id}
        while True:
            row = await (await connection.execute(_INTEND, values)).fetchone()
            if row is None or not row["held"]:
                raise _taken_over(action.thread_id)
            if plan is not None and row["known_plan"] not in {None, plan.plan_id}:
                raise _taken_over(action.thread_id)
            if row["fresh_key"] is not None:
                return Entry(fresh=True, idempotency_key=row["fresh_key"])
            if row["idempotency_key"] is not None:  # else it was committed while this statement ran
                return _entry(row)

    async def ask(
        self, question: OpenQuestion, plan: PlanRecord | None, *, thread_id: str, run_id: str
    ) -> None:
        """Record that a person is asked, with the plan that the question is about, in one commit.

        Raises:
            ThreadBusyError: another worker has taken the thread over, or made another plan for it.
        """
        values = {**_plan_values(plan), "thread_id": thread_id, "worker": self._worker_id}
        async with self.database.pool.connection() as connection, connection.transaction():
            row = await (await connection.execute(_RECORD, values)).fetchone()
            if row is None or (plan is not None and row["plan_id"] != plan.plan_id):
                raise _taken_over(thread_id)
            await ask(connection, question, thread_id=thread_id, run_id=run_id)
            await mark_run(connection, run_id, "interrupted")

    async def finish(self, key: str, recorded: Recorded, *, by: str | None = None) -> None:
        """Record how an action ended. A database that is away is waited for: the effect is there already."""
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(psycopg.OperationalError),
            stop=stop_after_delay(OUTCOME_PATIENCE_S),
            wait=wait_random_exponential(multiplier=0.1, max=2.0),
            before_sleep=before_sleep_log(_log, logging.WARNING),
            reraise=True,
        )
        async for attempt in retrying:
            with attempt:
                async with self.database.pool.connection() as connection:
                    await self.finish_within(connection, key, recorded, by=by)

    async def finish_within(
        self, connection: AsyncConnection[DictRow], key: str, recorded: Recorded, *, by: str | None = None
    ) -> None:
        """Record how an action ended, in an open transaction."""
        values = {"key": key, "outcome": recorded.outcome, "result": Jsonb(asdict(recorded)), "by": by}
        await connection.execute(_FINISH, values)

    async def find(self, key: str) -> Recorded | None:
        """Return how an action ended, or None where that is not recorded."""
        async with self.database.pool.connection() as connection:
            found = await connection.execute("select result from boring.effect where key = %s", (key,))
            row = await found.fetchone()
        return _recorded(row["result"]) if row is not None else None

    async def is_known(self, key: str) -> bool:
        """Tell whether an action has been begun, whatever became of it."""
        async with self.database.pool.connection() as connection:
            found = await connection.execute("select 1 from boring.effect where key = %s", (key,))
            return await found.fetchone() is not None

    async def rearm(self, action: Action, attempt: int) -> None:
        """Record that an action, known not to have happened, is about to be done after all.

        Raises:
            ThreadBusyError: another worker did so first.
        """
        values = {
            "key": action.key,
            "thread_id": action.thread_id,
            "attempt": attempt,
            "worker": self._worker_id,
        }
        async with self.database.pool.connection() as connection:
            if await (await connection.execute(_REARM, values)).fetchone() is None:
                raise _taken_over(action.thread_id)

    async def withdraw(self, key: str) -> None:
        """Take an intent back: the tool has asked the user something before it did anything."""
        async with self.database.pool.connection() as connection:
            await connection.execute("delete from boring.effect where key = %s and outcome is null", (key,))


def _entry(row: DictRow) -> Entry:
    return Entry(
        fresh=False,
        idempotency_key=row["idempotency_key"],
        attempt=row["attempt"],
        recorded=_recorded(row["result"]),
        resolved_by=row["resolved_by"],
        intended_at=row["intended_at"].isoformat(timespec="seconds"),
    )


def _recorded(told: dict[str, Any] | None) -> Recorded | None:
    return None if told is None else Recorded(told["outcome"], told["text"], tuple(told["sources"]))


def _action_values(action: Action) -> dict[str, Any]:
    return {
        "key": action.key,
        "thread_id": action.thread_id,
        "run_id": action.run_id,
        "call_id": action.call_id,
        "tool": action.tool,
        "effect": action.effect,
        "arguments": Jsonb(storable(dict(action.arguments))),
    }


def _plan_values(plan: PlanRecord | None) -> dict[str, Any]:
    if plan is None:
        names = ("basis", "plan_id", "turn_id", "plan_run_id", "messages", "turn")
        return dict.fromkeys(names)
    return {
        "basis": plan.basis,
        "plan_id": plan.plan_id,
        "turn_id": plan.turn_id,
        "plan_run_id": plan.run_id,
        "messages": Jsonb(plan.messages),
        "turn": Jsonb(plan.turn),
    }


def _taken_over(thread_id: str) -> ThreadBusyError:
    return ThreadBusyError(
        f"Another process has taken over the thread {thread_id!r}; this one does nothing more on it. "
        "Resume the thread to see how it goes on."
    )
