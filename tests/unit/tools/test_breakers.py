"""Circuit breakers on a real Postgres: two processes' worth of connections see each other's changes."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, LiteralString

import httpx
import pytest
from pydantic import SecretStr

from core.database import Database, opened_database
from core.settings import Settings
from core.worker import Worker, opened_worker
from guardrails.breaking import THRESHOLD, Breaker, after_failure, after_success, given_back, probed
from tools.breaker_table import BreakerState, BreakerTable
from tools.breakers import Breakers, opened_breakers

NAME = "tool:search"
COOLED_DOWN: LiteralString = (
    "update boring.breaker set reopen_at = clock_timestamp() - interval '1 s' where state <> 'closed'"
)
REFUSED = httpx.HTTPStatusError(
    "https://x/?q=secret", request=httpx.Request("GET", "https://x"), response=httpx.Response(503)
)


class Following:
    """A worker's announcements, and the means to wait for the next of them."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._arrived: asyncio.Queue[str | None] = asyncio.Queue()

    def listen(self, channel: str, heard: Callable[[str | None], None]) -> None:
        def told(payload: str | None) -> None:
            heard(payload)
            self._arrived.put_nowait(payload)

        self._worker.listen(channel, told)

    async def until(self, breakers: Breakers, arrived: Callable[[], bool]) -> None:
        """Wait until what was announced has brought about what is looked for."""
        async with asyncio.timeout(30):
            await breakers.fresh()
            while not arrived():
                await self._arrived.get()
                await breakers.fresh()


class One:
    """One process."""

    def __init__(self, database: Database, following: Following, breakers: Breakers) -> None:
        self.database = database
        self.following = following
        self.breakers = breakers

    def known(self) -> str:
        state, _ = self.breakers._known.get(NAME, (None, 0.0))  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - what the cache holds is what is tested
        return "none" if state is None else f"{state.state} {state.failures}"

    async def learns(self, state: str) -> None:
        await self.following.until(self.breakers, lambda: self.known() == state)

    async def fails(self, times: int = THRESHOLD) -> None:
        for _ in range(times):
            await self.breakers.failed(NAME, TimeoutError())


Starts = Callable[[], Any]


@pytest.fixture
async def starts(postgres_url: str, tmp_path: Path) -> AsyncIterator[Starts]:
    settings = Settings(database_url=SecretStr(postgres_url), data_dir=tmp_path, cache_dir=tmp_path)
    async with AsyncExitStack() as stack:

        async def start() -> One:
            database = await stack.enter_async_context(opened_database(settings))
            worker = await stack.enter_async_context(opened_worker(database))
            await worker.present()
            following = Following(worker)
            breakers = await stack.enter_async_context(opened_breakers(database, following))
            return One(database, following, breakers)

        yield start


async def execute(one: One, statement: LiteralString) -> list[dict[str, Any]]:
    async with one.database.pool.connection() as connection:
        found = await connection.execute(statement)
        return await found.fetchall() if found.description else []


async def cools_down(*processes: One) -> None:
    """Let the cooldown be over, for all processes."""
    await execute(processes[0], COOLED_DOWN)
    for one in processes:
        await one.breakers._reload(NAME)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - nobody announces what the clock does


async def test_five_failures_in_a_row_open_it_for_all_processes(starts: Starts) -> None:
    a, b = await starts(), await starts()
    await a.fails(THRESHOLD - 1)
    assert await a.breakers.admit(NAME) is None
    await a.fails(1)
    refusal = await a.breakers.admit(NAME)
    await b.learns(f"open {THRESHOLD}")
    assert refusal is not None
    assert 9 < refusal.retry_in_s <= 10
    assert refusal.message.startswith(
        "The tool search is not called for now: it failed 5 times in a row, last with 'TimeoutError'. "
        "Calls are refused since 20"
    )
    assert await b.breakers.admit(NAME) is not None
    assert await b.breakers.admit("tool:other") is None


async def test_a_success_of_another_process_ends_the_row_of_failures(starts: Starts) -> None:
    a, b = await starts(), await starts()
    await a.fails(THRESHOLD - 1)
    await b.following.until(b.breakers, lambda: b.known() != "none")
    await b.breakers.succeeded(NAME)
    await a.learns("closed 0")
    await a.fails(THRESHOLD - 1)
    assert await a.breakers.admit(NAME) is None


async def test_a_closed_breaker_costs_no_query(starts: Starts) -> None:
    a = await starts()
    await a.database.pool.close()
    assert await a.breakers.admit(NAME) is None
    await a.breakers.succeeded(NAME)


async def test_a_process_that_starts_later_knows_at_once_what_is_open(starts: Starts) -> None:
    await (await starts()).fails()
    assert await (await starts()).breakers.admit(NAME) is not None


async def test_one_of_twenty_racers_is_the_probe(starts: Starts) -> None:
    a, b = await starts(), await starts()
    await a.fails()
    await b.learns(f"open {THRESHOLD}")
    await cools_down(a, b)
    async with asyncio.TaskGroup() as group:
        racers = [group.create_task(one.breakers.admit(NAME)) for one in (a, b) * 10]
    assert sum(racer.result() is None for racer in racers) == 1
    refused = next(racer.result() for racer in racers if racer.result() is not None)
    assert refused is not None
    assert 50 < refused.retry_in_s <= 60


async def test_a_probe_that_succeeds_closes_it_for_all(starts: Starts) -> None:
    a, b = await starts(), await starts()
    await a.fails()
    await b.learns(f"open {THRESHOLD}")
    await cools_down(a, b)
    assert await b.breakers.admit(NAME) is None
    await b.breakers.succeeded(NAME)
    await a.learns("closed 0")
    assert await a.breakers.admit(NAME) is None
    (state,) = await a.breakers.states()
    assert (state.state, state.cooldown_s, state.reopen_at, state.last_error) == (
        "closed",
        10,
        None,
        "TimeoutError",
    )


async def test_each_failed_probe_doubles_the_cooldown_up_to_five_minutes(starts: Starts) -> None:
    a = await starts()
    await a.fails()
    (opened,) = await a.breakers.states()
    cooldowns: list[float] = []
    for _ in range(7):
        await cools_down(a)
        assert await a.breakers.admit(NAME) is None
        await a.fails(1)
        (state,) = await a.breakers.states()
        cooldowns.append(state.cooldown_s)
        assert state.changed_at == opened.changed_at
    assert cooldowns == [20, 40, 80, 160, 300, 300, 300]


async def test_a_probe_that_nobody_heard_of_again_is_followed_by_another(starts: Starts) -> None:
    a = await starts()
    await a.fails()
    await cools_down(a)
    assert await a.breakers.admit(NAME) is None
    assert await a.breakers.admit(NAME) is not None
    await cools_down(a)
    assert await a.breakers.admit(NAME) is None


async def test_a_probe_that_tells_nothing_gives_its_place_back_at_once(starts: Starts) -> None:
    a, b = await starts(), await starts()
    await a.fails()
    await b.learns(f"open {THRESHOLD}")
    await cools_down(a, b)
    assert await a.breakers.admit(NAME) is None
    await b.breakers.give_back(NAME)
    await asyncio.create_task(a.breakers.give_back(NAME))
    assert await a.breakers.admit(NAME) is not None  # only the probe itself can
    await a.breakers.give_back(NAME)
    assert await a.breakers.admit(NAME) is None


async def test_the_end_of_a_call_that_began_earlier_changes_nothing(starts: Starts) -> None:
    a, b = await starts(), await starts()
    await a.fails()
    await b.learns(f"open {THRESHOLD}")
    before = await execute(a, "select * from boring.breaker")
    for one in (a, b):
        await one.fails(1)
        await one.breakers.succeeded(NAME)
    assert await execute(a, "select * from boring.breaker") == before


async def test_a_failure_while_open_costs_no_query(starts: Starts, caplog: pytest.LogCaptureFixture) -> None:
    a = await starts()
    await a.fails()
    await a.database.pool.close()
    await a.fails(1)
    await a.breakers.succeeded(NAME)
    assert "could not be recorded" not in caplog.text


class HeldBack(BreakerTable):
    """A table whose readings arrive late; it notes what was known when each began."""

    def __init__(self, one: One) -> None:
        super().__init__(one.database)
        self.known: list[str] = []
        self._one = one
        self.read, self.let_go = asyncio.Event(), asyncio.Event()

    async def named(self, names: list[str]) -> list[BreakerState]:
        self.known.append(self._one.known())
        found = await super().named(names)
        self.read.set()
        await self.let_go.wait()
        return found


async def test_what_was_read_before_an_own_change_does_not_undo_it(starts: Starts) -> None:
    a = await starts()
    await a.fails(THRESHOLD - 1)
    await a.breakers.fresh()
    table = HeldBack(a)
    a.breakers._table = table  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - a slow answer of the database
    await execute(a, f"select pg_notify('boring_breaker', '{NAME}')")
    await table.read.wait()
    await a.fails(1)
    table.let_go.set()
    await a.breakers.fresh()
    assert len(table.known) > 1
    assert {*table.known[1:], a.known()} == {f"open {THRESHOLD}"}


async def test_a_row_that_was_deleted_is_a_closed_breaker(starts: Starts) -> None:
    a = await starts()
    await a.fails()
    await execute(a, "delete from boring.breaker")
    await execute(a, f"select pg_notify('boring_breaker', '{NAME}')")
    await a.learns("none")
    assert await a.breakers.admit(NAME) is None


async def test_what_was_missed_while_the_connection_was_lost_is_read_again(starts: Starts) -> None:
    a, b = await starts(), await starts()
    await execute(
        a,
        "select pg_terminate_backend(pid) from pg_stat_activity "
        "where query like 'listen %' and datname = current_database()",
    )
    await a.fails()
    await b.learns(f"open {THRESHOLD}")


async def test_a_database_that_is_away_fails_no_call(
    starts: Starts, caplog: pytest.LogCaptureFixture
) -> None:
    a = await starts()
    await a.fails()
    await cools_down(a)
    await a.database.pool.close()
    with caplog.at_level(logging.WARNING):
        assert await a.breakers.admit(NAME) is not None
        await a.breakers.failed("tool:other", "HTTP 503")
        assert await a.breakers.admit("tool:other") is None
    assert "The breaker tool:search can't be read" in caplog.text
    assert "A failure of tool:other could not be recorded" in caplog.text


@pytest.mark.parametrize(
    ("error", "kept"),
    [
        (httpx.ReadTimeout("secret"), "ReadTimeout"),
        (REFUSED, "HTTP 503"),
        ("y" * 999, "y" * 300),
    ],
)
async def test_of_an_exception_only_its_kind_is_kept(starts: Starts, error: Any, kept: str) -> None:
    a = await starts()
    await a.breakers.failed(NAME, error)
    assert [state.last_error for state in await a.breakers.states()] == [kept]


@pytest.mark.parametrize(
    "events",
    [
        "fffff",
        "fsffffff",
        "ffffffp",
        "fffffcpf",
        "fffffcpbps",
        "fbffffb",
        "fffffcpfcpfcps",
        "fffffcpcps",
        "ffscfcp",
        "fffffs",
    ],
)
async def test_the_table_follows_the_policy(starts: Starts, events: str) -> None:
    a = await starts()
    table, policy, now_s = BreakerTable(a.database), Breaker(), 0.0
    for event in events:
        if event == "c":
            now_s += 1000
            await execute(a, COOLED_DOWN)
        elif event == "f":
            await table.failed(NAME, "HTTP 500")
            policy = after_failure(policy, now_s)
        elif event == "s":
            await table.succeeded(NAME)
            policy = after_success(policy)
        elif event == "b":
            held = next((one.reopen_at for one in await table.all()), None)
            await table.given_back(NAME, held)
            policy = given_back(policy, now_s)
        else:
            through = probed(policy, now_s)
            assert (await table.probed(NAME) is None) == (through is None)
            policy = through or policy
        (state,) = await table.all()
        assert (state.state, state.failures, state.cooldown_s) == (
            policy.state,
            policy.failures,
            policy.cooldown_s,
        )
        assert (state.reopen_at is None) == (policy.reopen_at_s is None)
