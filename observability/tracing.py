"""The tracing of a process: the provider that spans are written into, and the outlets that they leave by."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.loading import load
from core.process import current_process
from observability.noting import DecisionStore, Noted
from observability.outlet import Outlet
from observability.span_store import SpanStore

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import Tracer


@dataclass(frozen=True, slots=True)
class Tracing:
    """What a process traces by.

    Attributes:
        tracer: writes spans.
        outlets: where they go.
        decisions: where those of runs go.
    """

    tracer: Tracer
    outlets: Sequence[Outlet[ReadableSpan]]
    decisions: Outlet[Noted]

    async def flush(self) -> None:
        """Deliver what has ended so far."""
        for outlet in (*self.outlets, self.decisions):
            await outlet.flush()


async def current_tracing() -> Tracing:
    """Return the tracing of this process; its end waits some seconds for what is not delivered yet."""
    return await (await current_process()).once("tracing", _opened)


@asynccontextmanager
async def _opened() -> AsyncGenerator[Tracing]:
    process = await current_process()
    database = await process.database()
    await load("opentelemetry.sdk.trace", "genai_prices")
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider, sampling  # noqa: PLC0415 - loaded above

    async with AsyncExitStack() as stack:
        store = Outlet("the database", SpanStore(database, process.settings.prices).deliver)
        outlets = [await stack.enter_async_context(store.opened())]
        noted = Outlet("the database", DecisionStore(database).deliver, what="decisions")
        decisions = await stack.enter_async_context(noted.opened())

        class IntoOutlets(SpanProcessor):
            def on_end(self, span: ReadableSpan) -> None:
                for outlet in outlets:
                    outlet.put(span)

        provider = TracerProvider(sampler=sampling.ALWAYS_ON, shutdown_on_exit=False)
        provider.add_span_processor(IntoOutlets())
        yield Tracing(provider.get_tracer("boring_agents"), outlets, decisions)
