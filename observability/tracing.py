"""The tracing of a process: the provider that spans are written into, and the outlets that they leave by."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import Context
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import psycopg

from core.loading import load
from core.process import current_process
from observability.content_room import ContentRoom
from observability.destinations import destinations
from observability.exporting import opened_exporters
from observability.feedback import Feedback
from observability.feedback_sending import feedback_outlets
from observability.metrics import process_metrics
from observability.native_langsmith import native_langsmith
from observability.noting import DecisionStore, Noted
from observability.outlet import Outlet
from observability.outlet_counts import OutletCounts
from observability.presidio import presidio
from observability.sampling import Sampling
from observability.span_store import SpanStore

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import Tracer

    from core.database import Database
    from core.settings import Settings

DATABASE: Final = "the database"
"""The name of the outlet that gets all spans."""
METRICS: Final = "metrics"
"""The name of the outlet that counts them, where a server shows metrics."""
CLOSING_S: Final = 3.0
"""How long the end of a process waits in all for spans, and their counts, to be delivered."""
_COUNTING_S: Final = 0.5
"""How much of that is kept for the counts."""
_COUNTED_EVERY_S: Final = 10.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Way:
    """One way by which spans leave.

    Attributes:
        outlet: the queue before the place.
        sampling: what is before the queue; None where all spans go.
    """

    outlet: Outlet[ReadableSpan]
    sampling: Sampling | None = None

    def put(self, span: ReadableSpan) -> None:
        """Take a span in."""
        (self.sampling or self.outlet).put(span)


@dataclass(frozen=True, slots=True)
class Tracing:
    """What a process traces by.

    Attributes:
        tracer: writes spans.
        ways: where they go, the database first.
        decisions: where those of runs go.
        feedback: where what people say of runs goes.
        tells_content: whether spans of a tenant's runs hold what was asked and answered.
        room: before all ways, for that.
        is_native: LangSmith's own client traces too.
    """

    tracer: Tracer
    ways: Sequence[Way]
    decisions: Outlet[Noted]
    feedback: Sequence[Outlet[Feedback]]
    tells_content: Callable[[str], bool]
    room: ContentRoom
    is_native: bool = False

    @property
    def outlets(self) -> list[Outlet[ReadableSpan]]:
        """Return the places' queues."""
        return [way.outlet for way in self.ways]

    async def flush(self) -> None:
        """Deliver what has ended so far."""
        async with asyncio.TaskGroup() as group:
            for outlet in (*self.outlets, self.decisions, *self.feedback):
                group.create_task(outlet.flush())


async def current_tracing() -> Tracing:
    """Return the tracing of this process; its end waits some seconds for what is not delivered yet.

    Raises:
        ConfigurationError: the settings of a place for traces can't be used.
    """
    return await (await current_process()).once("tracing", _opened)


@asynccontextmanager
async def _opened() -> AsyncGenerator[Tracing]:
    process = await current_process()
    database = await process.database()
    await load("opentelemetry.sdk.trace", "genai_prices")
    from observability.light_spans import LightTracer  # noqa: PLC0415 - imports what is loaded above

    room, may_be_told = ContentRoom(), process.settings.span_content
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(presidio(process.settings.presidio))
        decisions = Outlet(
            "the database", DecisionStore(database, process.settings.content_for).deliver, what="decisions"
        )
        ways, feedback = await stack.enter_async_context(_opened_ways(process.settings, database, decisions))

        def into_ways(span: ReadableSpan) -> None:
            taken = room.taken_in(span) if may_be_told else span
            for way in ways:
                way.put(taken)

        tracer, tells = LightTracer("boring_agents", into_ways), process.settings.tells_content
        native = process.settings.langsmith_tracing
        yield Tracing(tracer, ways, decisions, feedback, tells, room, native)


@asynccontextmanager
async def _opened_ways(
    settings: Settings, database: Database, decisions: Outlet[Noted]
) -> AsyncGenerator[tuple[list[Way], list[Outlet[Feedback]]]]:
    places = destinations(settings)
    async with AsyncExitStack() as stack:
        exporters = await stack.enter_async_context(opened_exporters(places, settings.prices))
        close_native = await stack.enter_async_context(native_langsmith(settings))
        ways = [Way(Outlet(DATABASE, SpanStore(database, settings.prices, settings.content_for).deliver))]
        for place, exporter in zip(places, exporters, strict=True):
            outlet = Outlet(place.name, exporter.deliver)
            ways.append(Way(outlet, Sampling(settings.traces_sample, outlet.put)))
        if settings.metrics_port is not None:
            ways.append(Way(Outlet(METRICS, await _counting_metrics(settings))))
        of_spans = {way.outlet.name: way.outlet for way in ways}
        feedback = await stack.enter_async_context(feedback_outlets(settings, database, of_spans))
        counts = OutletCounts(database)
        outlets: list[Outlet[Any]] = [*(way.outlet for way in ways), decisions, *feedback]
        for outlet in outlets:
            outlet.open()
        counting = asyncio.create_task(
            _keep_counting(counts, ways, decisions, feedback), name="count spans", context=Context()
        )
        try:
            yield ways, feedback
        finally:
            counting.cancel()
            await asyncio.wait([counting])
            async with asyncio.TaskGroup() as group:
                group.create_task(close_native())
                for outlet in outlets:
                    group.create_task(outlet.close(within_s=CLOSING_S - _COUNTING_S))
            await _count(counts, ways, decisions, feedback)


async def _counting_metrics(settings: Settings) -> Callable[[Sequence[ReadableSpan]], Awaitable[int]]:
    await load("prometheus_client")
    metrics = process_metrics()

    async def count(spans: Sequence[ReadableSpan]) -> int:
        return metrics.count(spans, settings.prices)

    return count


async def _keep_counting(
    counts: OutletCounts,
    ways: Sequence[Way],
    decisions: Outlet[Noted],
    feedback: Sequence[Outlet[Feedback]],
) -> None:
    while True:
        await asyncio.sleep(_COUNTED_EVERY_S)
        await _count(counts, ways, decisions, feedback)


async def _count(
    counts: OutletCounts,
    ways: Sequence[Way],
    decisions: Outlet[Noted],
    feedback: Sequence[Outlet[Feedback]],
) -> None:
    if ways[-1].outlet.name == METRICS:
        for way in ways:
            _show(way)
        for outlet in (decisions, *feedback):
            process_metrics().show_others(
                outlet.what,
                outlet.name,
                waiting=outlet.waiting,
                delivered=outlet.delivered,
                dropped=outlet.dropped,
            )
    try:
        async with asyncio.timeout(_COUNTING_S):
            of_spans = [(way.outlet, way.sampling) for way in ways if way.outlet.name != METRICS]
            await counts.add([*of_spans, *((outlet, None) for outlet in feedback)])
    except (TimeoutError, psycopg.Error) as error:
        _log.warning("What became of spans could not be counted: %s", type(error).__name__)


def _show(way: Way) -> None:
    held = way.sampling
    process_metrics().show_outlet(
        way.outlet.name,
        waiting=way.outlet.waiting,
        delivered=way.outlet.delivered,
        dropped=way.outlet.dropped + (held.dropped if held else 0),
        left_out=held.left_out if held else 0,
    )
