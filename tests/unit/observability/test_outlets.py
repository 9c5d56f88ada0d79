"""A place for traces that is down, slow or refuses: runs go on, memory is bounded, losses are counted."""

import asyncio
import socket
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from pydantic import SecretStr

from core.database import opened_database
from core.errors import TransientError
from core.process import opened_process
from core.settings import Settings
from observability import spans
from observability.outlet import BATCH, Outlet, RefusedError
from observability.outlet_counts import OutletFigures, outlet_figures
from observability.tracing import CLOSING_S, Tracing, current_tracing
from tests.trace_places import Place, opened_place

SLACK_S = 1.0
"""What the end of a process takes beside waiting, on a busy machine."""


def settings(postgres_url: str, folder: Path, **told: Any) -> Settings:
    return Settings(database_url=SecretStr(postgres_url), data_dir=folder, cache_dir=folder, **told)


@asynccontextmanager
async def tracing(settings: Settings) -> AsyncGenerator[Tracing]:
    async with opened_process(settings):
        yield await current_tracing()


def write(tracing: Tracing, many: int) -> None:
    for _ in range(many):
        with spans.invocation(tracing.tracer, "clerk", {}, decide=tracing.decisions.put):
            pass


async def figures(settings: Settings) -> dict[str, OutletFigures]:
    async with opened_database(settings) as database:
        return {one.name: one for one in await outlet_figures(database)}


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


async def test_places_that_hang_and_that_are_down_hold_up_the_end_for_three_seconds_together(
    postgres_url: str, tmp_path: Path
) -> None:
    async with opened_place() as hanging:
        hanging.hangs = "/"
        told = settings(
            postgres_url,
            tmp_path,
            traces=("phoenix", "otlp", "langsmith"),
            phoenix_endpoint=hanging.url,
            otlp_endpoint=f"http://127.0.0.1:{closed_port()}",
            langsmith_endpoint=hanging.url,
            langsmith_api_key=SecretStr("k"),
        )
        async with tracing(told) as opened:
            write(opened, 700)
            await hanging.arrived.wait()
            begun = time.monotonic()
        assert time.monotonic() - begun < CLOSING_S + SLACK_S
    found = await figures(told)
    assert {name: (one.delivered, one.dropped) for name, one in found.items()} == {
        "the database": (700, 0),
        "phoenix": (0, 700),
        "langsmith": (0, 700),
        "otlp": (0, 700),
    }
    assert found["otlp"].problem == "ConnectError"


async def test_what_a_place_refuses_is_given_up_and_what_it_rejects_is_counted(
    postgres_url: str, tmp_path: Path
) -> None:
    async with opened_place() as place:
        place.statuses = [401]
        told = settings(postgres_url, tmp_path, traces=("otlp",), otlp_endpoint=place.url)
        async with tracing(told) as opened:
            write(opened, 3)
            await opened.flush()
            place.rejects = 2
            write(opened, 5)
        assert len(place.requests) == 2
    found = await figures(told)
    assert (found["otlp"].delivered, found["otlp"].dropped) == (3, 5)
    assert found["otlp"].problem == "they were rejected"


async def test_spans_wait_for_a_place_that_is_down_for_a_while(postgres_url: str, tmp_path: Path) -> None:
    port = closed_port()
    told = settings(postgres_url, tmp_path, traces=("otlp",), otlp_endpoint=f"http://127.0.0.1:{port}")
    async with tracing(told) as opened:
        write(opened, 4)
        await opened.flush()
        [_, outlet] = opened.outlets
        assert (outlet.waiting, outlet.dropped) == (4, 0)
        async with opened_place(port) as place:
            await place.arrived.wait()
            assert len(place.requests) == 1
    assert (await figures(told))["otlp"].delivered == 4


async def test_a_busy_place_gets_the_same_spans_again(postgres_url: str, tmp_path: Path) -> None:
    async with opened_place() as place:
        place.statuses = [503]
        told = settings(postgres_url, tmp_path, traces=("otlp",), otlp_endpoint=place.url)
        async with tracing(told) as opened:
            write(opened, 1)
            await opened.flush()
            await opened.flush()
        first, second = place.requests
        assert first.spans == second.spans
    assert (await figures(told))["otlp"].delivered == 1


def some(many: int) -> list[ReadableSpan]:
    return [ReadableSpan(str(number)) for number in range(many)]


async def test_a_queue_is_bounded_and_gives_up_its_oldest(caplog: pytest.LogCaptureFixture) -> None:
    async def down(_: Any) -> int:
        raise TransientError("ConnectError")

    outlet = Outlet("there", down, room=BATCH + 1)
    for span in some(BATCH + 100):
        outlet.put(span)
    await outlet.flush()
    for span in some(100):
        outlet.put(span)
    assert (outlet.waiting, outlet.dropped) == (BATCH + 1, 199)
    assert len([one for one in caplog.messages if "were given up" in one]) == 2


async def test_a_delivery_that_is_under_way_at_the_end_is_not_cut_off() -> None:
    began, arrived = asyncio.Event(), list[ReadableSpan]()
    go_on = asyncio.Event()

    async def slow(batch: Any) -> int:
        began.set()
        await go_on.wait()
        arrived.extend(batch)
        return 0

    outlet = Outlet("there", slow)
    outlet.open()
    for span in some(BATCH):
        outlet.put(span)
    await began.wait()
    outlet.put(ReadableSpan("last"))
    asyncio.get_running_loop().call_soon(go_on.set)
    await outlet.close(within_s=5)
    assert (len(arrived), outlet.delivered, outlet.dropped) == (BATCH + 1, BATCH + 1, 0)


async def test_what_is_kept_of_a_problem_holds_no_content() -> None:
    async def broken(_: Any) -> int:
        raise ValueError("Ada's secret")

    outlet = Outlet("there", broken)
    outlet.put(ReadableSpan("one"))
    await outlet.flush()
    assert (outlet.problem, outlet.dropped) == ("ValueError", 1)

    async def refuses(_: Any) -> int:
        raise RefusedError("HTTP 400")

    outlet = Outlet("there", refuses)
    outlet.put(ReadableSpan("one"))
    await outlet.flush()
    assert outlet.problem == "HTTP 400"


async def test_counts_of_processes_add_up(postgres_url: str, tmp_path: Path) -> None:
    place: Place
    async with opened_place() as place:
        told = settings(postgres_url, tmp_path, traces=("otlp",), otlp_endpoint=place.url)
        for _ in range(2):
            async with tracing(told) as opened:
                write(opened, 2)
    assert {name: one.delivered for name, one in (await figures(told)).items()} == {
        "the database": 4,
        "otlp": 4,
    }


async def test_a_thing_that_can_not_be_delivered_costs_no_other_one() -> None:
    taken: list[int] = []

    async def deliver(batch: Sequence[int]) -> None:
        if not {13, 700}.isdisjoint(batch):
            raise ValueError("unlucky")
        taken.extend(batch)

    outlet = Outlet("the place", deliver, what="numbers")
    for number in range(1000):
        outlet.put(number)
    await outlet.flush()
    assert taken == [number for number in range(1000) if number not in {13, 700}]
    assert (outlet.delivered, outlet.dropped, outlet.problem) == (998, 2, "ValueError")


async def test_text_that_can_not_be_stored_costs_no_span(postgres_url: str, tmp_path: Path) -> None:
    told = settings(postgres_url, tmp_path)
    async with tracing(told) as opened:
        for name in ("nul\0", "half \ud83d"):
            with spans.invocation(opened.tracer, name, {}, decide=opened.decisions.put):
                pass
        write(opened, 3)
    (found,) = (await figures(told)).values()
    assert (found.delivered, found.dropped) == (5, 0)


async def test_a_name_that_is_too_long_for_an_index_costs_its_own_span_only(
    postgres_url: str, tmp_path: Path
) -> None:
    told = settings(postgres_url, tmp_path)
    async with tracing(told) as opened:
        write(opened, 1)
        long_name = token_hex(8000)  # so random that it does not get shorter
        with spans.invocation(opened.tracer, long_name, {}, decide=opened.decisions.put):
            pass
        write(opened, 2)
        await opened.flush()
        assert opened.outlets[0].waiting == 0
    (found,) = (await figures(told)).values()
    assert (found.delivered, found.dropped, found.problem) == (3, 1, "ProgramLimitExceeded")
