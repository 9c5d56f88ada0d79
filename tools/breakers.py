"""Circuit breakers of tools and models, shared by all processes through one table.

The policy stands in `guardrails.breaking`; the database applies it, by its own clock, in one statement for
each change. A call through a closed breaker costs no query: each process keeps what it knows and is told of
changes by Postgres notifications. So what a process knows may be old: by the time that a notification takes
(a few milliseconds), or by as long as its connection is lost. In that time calls may still go to a tool that
another process knows to be failing; a call is never refused for longer than the cooldown, and two probes
are never let through at once, since the database decides on those.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Protocol

import psycopg

from core.client_errors import http_status
from core.database import Database
from core.process import current_process
from core.text import storable_text
from core.worker import current_worker
from observability.noting import note_decision
from tools.breaker_table import CHANNEL, PATIENCE_S, BreakerState, BreakerTable

MAX_ERROR_CHARS: Final = 300
_RETRY_S: Final = 1.0
_log = logging.getLogger(__name__)


class Announcing(Protocol):
    """Where changes are heard of; `core.worker.Worker` is one."""

    def listen(self, channel: str, heard: Callable[[str | None], None]) -> None:
        """Call `heard` with each payload, and with None at once and whenever one may have been missed."""
        ...


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a call is not made.

    Attributes:
        since: when the breaker opened.
        why: the failure that it is open for.
        retry_in_s: seconds until the next call may be let through, 0 or more.
    """

    name: str
    since: datetime
    why: str
    failures: int
    retry_in_s: float

    @property
    def message(self) -> str:
        """What the model or the user is told."""
        kind, _, name = self.name.partition(":")
        return (
            f"The {kind} {name} is not called for now: it failed {self.failures} times in a row, last with "
            f"{self.why!r}. Calls are refused since {self.since.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC; the "
            f"next one may be tried in {self.retry_in_s:.0f} s."
        )


@dataclass(frozen=True, slots=True)
class _Probe:
    """A probe that nobody has reported on: who makes it, and until when it counts."""

    task: asyncio.Task[Any] | None
    reopen_at: datetime | None


class Breakers:
    """The breakers as one process knows them, by name: `tool:NAME`, and `model:NAME at ENDPOINT`.

    A database that is away fails no call: it is logged, and what is known is used.
    """

    def __init__(self, database: Database, announcing: Announcing) -> None:
        self._table = BreakerTable(database)
        self._known: dict[str, tuple[BreakerState, float]] = {}
        self._stale: set[str | None] = set()
        self._probes: dict[str, _Probe] = {}
        self._own_writes = 0
        self._refreshing: asyncio.Task[None] | None = None
        self._closed = False
        announcing.listen(CHANNEL, self._heard)

    async def admit(self, name: str) -> Refusal | None:
        """Return why a call may not be made, or None where it may.

        A caller that gets None reports back by `succeeded`, `failed` or, whatever became of the call,
        `give_back`, from the same task: it may be the one probe of an open breaker, and until its report, or
        `PROBE_LIMIT_S` seconds later, no other gets through.
        """
        state, due = self._known.get(name, (None, 0.0))
        if state is None or state.state == "closed":
            return None
        if time.monotonic() >= due:
            try:
                if (probe := self._written(await self._table.probed(name))) is not None:
                    self._probes[name] = _Probe(asyncio.current_task(), probe.reopen_at)
                    return None
                state = await self._reload(name)
            except psycopg.Error as error:
                _log.warning("The breaker %s can't be read and stays as it was: %s", name, error)
        if state is None or state.state == "closed":
            return None
        return self._refusal(state)

    async def failed(self, name: str, error: BaseException | str, *, step: int = 0) -> None:
        """Take note of a failure that speaks against the health of what was called.

        Those are timeouts, broken connections, HTTP 5xx and `TransientError`. An answer that the caller is to
        blame for (HTTP 4xx, invalid arguments, `ToolError`) and a full one (429) are none.

        Args:
            name: of the breaker.
            error: the failure; of an exception only its class or HTTP status is kept. Text is kept, and
                shown to everybody whose call is refused, so it must hold nothing of one tenant.
            step: of the run that failed, in whose record of decisions it stands that this opened the breaker.
        """
        self._probe_of_this_task(name)
        state, _ = self._known.get(name, (None, 0.0))
        if state is not None and state.state == "open":  # the call began before that
            return
        kept = storable_text(error) if isinstance(error, str) else failure_kind(error)
        try:
            if (row := self._written(await self._table.failed(name, kept[:MAX_ERROR_CHARS]))) is None:
                await self._reload(name)
            elif row.state == "open":
                why = f"{row.failures} failures in a row, the last one {row.last_error}"
                note_decision("breaker", name, step=step, reason=f"opened for {row.cooldown_s:.0f} s: {why}")
        except psycopg.Error as away:
            _log.warning("A failure of %s could not be recorded: %s", name, away)

    async def succeeded(self, name: str, *, step: int = 0) -> None:
        """Take note of an answer; see `failed` for `step`. It costs nothing while no failure is known."""
        self._probe_of_this_task(name)
        state, _ = self._known.get(name, (None, 0.0))
        if state is None or state.failures == 0 or state.state == "open":
            return
        try:
            if not self._written(await self._table.succeeded(name)):
                await self._reload(name)
            elif state.state == "half_open":
                note_decision("breaker", name, step=step, reason="closed: the call it let through went well")
        except psycopg.Error as away:
            _log.warning("A success of %s could not be recorded: %s", name, away)

    async def give_back(self, name: str) -> None:
        """End a call. One that was a probe and has told nothing is followed by another probe at once."""
        if name not in self._probes or (probe := self._probe_of_this_task(name)) is None:
            return
        try:
            if not self._written(await self._table.given_back(name, probe.reopen_at)):
                await self._reload(name)
        except psycopg.Error as away:
            _log.warning("The probe of %s could not be given back: %s", name, away)

    def _probe_of_this_task(self, name: str) -> "_Probe | None":
        """Return the probe that the running task has not reported on, which it now does."""
        probe = self._probes.get(name)
        if probe is None or probe.task is not asyncio.current_task():
            return None
        return self._probes.pop(name)

    async def states(self) -> list[BreakerState]:
        """Return all breakers as the database holds them, by name.

        Raises:
            psycopg.Error: the database is away.
        """
        return await self._table.all()

    async def fresh(self) -> None:
        """Wait until all that was announced so far is known."""
        if self._refreshing is not None:
            await asyncio.shield(self._refreshing)

    async def close(self) -> None:
        """Stop to follow changes."""
        self._closed = True
        if self._refreshing is not None:
            self._refreshing.cancel()
            with suppress(asyncio.CancelledError):
                await self._refreshing

    def _heard(self, name: str | None) -> None:
        self._stale.add(name)
        if not self._closed and (self._refreshing is None or self._refreshing.done()):
            self._refreshing = asyncio.create_task(self._refresh(), name="refresh breakers")

    async def _refresh(self) -> None:
        while self._stale:
            names, self._stale = self._stale, set()
            written = self._own_writes
            try:
                if None in names:
                    rows = await self._table.all()
                else:
                    rows = await self._table.named([name for name in names if name is not None])
            except psycopg.Error as error:
                _log.warning("The breakers can't be read and stay as they were: %s", error)
                self._stale |= names
                await asyncio.sleep(_RETRY_S)
                continue
            if written != self._own_writes:  # what was read may be older than what was written meanwhile
                self._stale |= names
                continue
            for name in [*self._known] if None in names else names:
                self._known.pop(name or "", None)
            for row in rows:
                self._learn(row)

    async def _reload(self, name: str) -> BreakerState | None:
        rows = await self._table.named([name])
        for row in rows:
            self._learn(row)
        if not rows:
            self._known.pop(name, None)
        return rows[0] if rows else None

    def _written(self, row: BreakerState | None) -> BreakerState | None:
        if row is not None:
            self._own_writes += 1
            self._learn(row)
        return row

    def _learn(self, row: BreakerState) -> None:
        self._known[row.name] = (row, time.monotonic() + (row.reopen_in_s or 0.0))

    def _refusal(self, state: BreakerState) -> Refusal:
        _, due = self._known.get(state.name, (state, 0.0))
        left = max(0.0, due - time.monotonic())
        return Refusal(state.name, state.changed_at, state.last_error or "", state.failures, left)


def failure_kind(error: BaseException) -> str:
    """Return an exception's HTTP status or class: what everybody may read of it."""
    status = http_status(error)
    return f"HTTP {status}" if status else type(error).__name__


@asynccontextmanager
async def opened_breakers(database: Database, announcing: Announcing) -> AsyncGenerator[Breakers]:
    """Follow the breakers until the block ends; what is in the table at the start is known at once."""
    breakers = Breakers(database, announcing)
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                await breakers.fresh()
        yield breakers
    finally:
        await breakers.close()


async def current_breakers() -> Breakers:
    """Return the breakers of the running event loop.

    Raises:
        DatabaseError: the database is away.
    """
    return await (await current_process()).once("breakers", _opened_here)


@asynccontextmanager
async def _opened_here() -> AsyncGenerator[Breakers]:
    database, worker = await (await current_process()).database(), await current_worker()
    async with opened_breakers(database, worker) as breakers:
        yield breakers
