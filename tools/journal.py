"""The journal of effects: an intent before a call, its outcome after it, each one commit.

The key of an entry is what the action is (thread, call, tool, arguments), not where a run believes it
stands. A call that finds its outcome is not made; one that finds its intent alone is in doubt.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from typing import Any, Final
from weakref import WeakKeyDictionary

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

from core.database import Database, Pool
from core.state import OpenQuestion
from core.text import storable
from memory.approvals import NewApproval
from memory.plans import PlanRecord
from memory.runs import mark_run
from memory.saver_fence import refusal
from tools.actions import Action, Entry, Recorded
from tools.inbox import put_request
from tools.journal_sql import CLEAR_DOUBTS, DOUBTFUL, FINISH, INTEND, REARM, RECORD
from tools.questions import ask
from tools.under_way import UnderWay, under_way

OUTCOME_PATIENCE_S: Final = 30.0
"""How long the outcome of a call is kept trying to be written when the database is away."""
_log = logging.getLogger(__name__)
_slots: WeakKeyDictionary[Pool, asyncio.Semaphore] = WeakKeyDictionary()
"""For the transactions of tools, by the pool whose connections they take."""


class Journal:
    """The journal, as one worker writes it."""

    def __init__(self, database: Database, worker_id: str) -> None:
        self.database = database
        self._worker_id = worker_id

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[AsyncConnection[DictRow]]:
        """Open a transaction for a tool; they get half of the pool at most, or nobody else could go on."""
        pool = self.database.pool
        slots = _slots.setdefault(pool, asyncio.Semaphore(max(1, pool.max_size // 2)))
        async with slots, pool.connection() as connection, connection.transaction():
            yield connection

    @property
    def under_way(self) -> UnderWay:
        """The calls that this process is making, of this journal."""
        return under_way(self.database.pool)

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
        values["under_way"] = list(self.under_way.keys)
        while True:
            row = await (await connection.execute(INTEND, values)).fetchone()
            if row is None or not row["held"]:
                raise refusal(action.thread_id, "lost")
            if plan is not None and row["known_plan"] not in {None, plan.plan_id}:
                raise refusal(action.thread_id, "lost")
            if row["fresh_key"] is not None:
                return Entry(
                    fresh=True,
                    idempotency_key=row["fresh_key"],
                    attempt=row["fresh_attempt"],
                    doubtful=await self._doubtful(row, values),
                )
            if row["idempotency_key"] is not None:  # else it was committed while this statement ran
                return replace(_entry(row), doubtful=await self._doubtful(row, values))

    async def _doubtful(self, row: DictRow, values: dict[str, Any]) -> str | None:
        """Return what the model was told of an equal call in doubt, or None.

        Where one seems to be, it is looked for again: one that this process began meanwhile is in none.
        """
        while row["doubtful"] is not None:
            begun = self.under_way.begun
            now: dict[str, Any] = {**values, "under_way": list(self.under_way.keys)}
            async with self.database.pool.connection() as connection:
                found = await connection.execute(f"select ({DOUBTFUL}) as doubtful", now)
                again = await found.fetchone()
            if begun == self.under_way.begun:
                return again["doubtful"] if again else None
        return None

    async def record(self, plan: PlanRecord, thread_id: str) -> None:
        """Record a plan, in a commit of its own: a transaction that goes on for long must not hold it up.

        Raises:
            ThreadBusyError: another worker has taken the thread over, or made another plan for it.
        """
        async with self.database.pool.connection() as connection:
            await self._record(connection, plan, thread_id)

    async def _record(
        self, connection: AsyncConnection[DictRow], plan: PlanRecord | None, thread_id: str
    ) -> None:
        values = {**_plan_values(plan), "thread_id": thread_id, "worker": self._worker_id}
        row = await (await connection.execute(RECORD, values)).fetchone()
        if row is None or (plan is not None and row["plan_id"] != plan.plan_id):
            raise refusal(thread_id, "lost")

    async def ask(
        self,
        question: OpenQuestion,
        plan: PlanRecord | None,
        *,
        thread_id: str,
        run_id: str,
        request: NewApproval | None = None,
    ) -> None:
        """Record that a person is asked, with the plan that the question is about, in one commit.

        Args:
            question: what is asked.
            plan: the plan, where it is not known to be durable already.
            thread_id: the thread.
            run_id: the run.
            request: for the inbox, where the question is about one that is not there yet.

        Raises:
            ThreadBusyError: another worker has taken the thread over, or made another plan for it.
        """
        async with self.database.pool.connection() as connection, connection.transaction():
            await self._record(connection, plan, thread_id)
            await ask(connection, question, thread_id=thread_id, run_id=run_id)
            await mark_run(connection, run_id, "interrupted")
            if request is not None:
                await put_request(connection, request)

    async def finish(
        self, key: str, recorded: Recorded, *, by: str | None = None, attempt: int | None = None
    ) -> None:
        """Record how an action ended. A database that is away is waited for: the effect is there already.

        What is told of an `attempt` that another one has followed meanwhile is not the end of that one.
        """
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(psycopg.OperationalError),
            stop=stop_after_delay(OUTCOME_PATIENCE_S),
            wait=wait_random_exponential(multiplier=0.1, max=2.0),
            before_sleep=before_sleep_log(_log, logging.WARNING),
            reraise=True,
        )
        async for again in retrying:
            with again:
                async with self.database.pool.connection() as connection:
                    await self.finish_within(connection, key, recorded, by=by, attempt=attempt)

    async def finish_within(
        self,
        connection: AsyncConnection[DictRow],
        key: str,
        recorded: Recorded,
        *,
        by: str | None = None,
        attempt: int | None = None,
    ) -> None:
        """Record how an action ended, in an open transaction."""
        values = {
            "key": key,
            "outcome": recorded.outcome,
            "result": Jsonb(storable(asdict(recorded))),
            "by": by,
            "attempt": attempt,
        }
        await connection.execute(FINISH, values)

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

    async def rearm(self, action: Action, entry: Entry) -> Entry:
        """Record that an action, known not to have happened, is about to be done after all.

        Returns:
            What the journal holds of it from now on.

        Raises:
            ThreadBusyError: another worker did so first.
        """
        values = {
            "key": action.key,
            "thread_id": action.thread_id,
            "attempt": entry.attempt,
            "worker": self._worker_id,
        }
        async with self.database.pool.connection() as connection:
            row = await (await connection.execute(REARM, values)).fetchone()
        if row is None:
            raise refusal(action.thread_id, "lost")
        return replace(entry, attempt=row["attempt"], doubtful=None)

    async def clear_doubts(self, action: Action) -> None:
        """Record that what became of earlier calls, equal to this one, has been settled with it."""
        async with self.database.pool.connection() as connection:
            under_way = list(self.under_way.keys)
            await connection.execute(CLEAR_DOUBTS, {**_action_values(action), "under_way": under_way})

    async def withdraw(self, key: str) -> None:
        """Take an intent back: the tool has asked the user something before it did anything."""
        async with self.database.pool.connection() as connection:
            await connection.execute(
                "update boring.effect set outcome = 'withdrawn' where key = %s and outcome is null", (key,)
            )


async def effects_of_calls(database: Database, call_ids: Sequence[str]) -> dict[str, Recorded | None]:
    """Return how calls ended, by their ids; None where that is in doubt. Unknown calls are left out."""
    async with database.pool.connection() as connection:
        rows = await connection.execute(
            "select call_id, result from boring.effect where call_id = any(%s)", (list(call_ids),)
        )
        return {row["call_id"]: _recorded(row["result"]) for row in await rows.fetchall()}


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
    if told is None:
        return None
    return Recorded(told["outcome"], told["text"], tuple(told["sources"]), told["doubt"])


def _action_values(action: Action) -> dict[str, Any]:
    return {
        "key": action.key,
        "thread_id": action.thread_id,
        "run_id": action.run_id,
        "call_id": action.call_id,
        "tool": action.tool,
        "effect": action.effect,
        "arguments": Jsonb(storable(dict(action.arguments))),
        "equal_by": Jsonb(storable(dict(action.equal_by or action.arguments))),
        "siblings": list(action.siblings),
        "again": action.again,
    }


def _plan_values(plan: PlanRecord | None) -> dict[str, Any]:
    if plan is None:
        names = ("place", "basis", "plan_id", "turn_id", "plan_run_id", "messages", "turn")
        return dict.fromkeys(names)
    return {
        "place": plan.place,
        "basis": plan.basis,
        "plan_id": plan.plan_id,
        "turn_id": plan.turn_id,
        "plan_run_id": plan.run_id,
        "messages": Jsonb(plan.messages),
        "turn": Jsonb(plan.turn),
    }
