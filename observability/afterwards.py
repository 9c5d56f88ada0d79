"""The span of what is done for a run after its answer, such as learning: below the run's first one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Final, LiteralString

from opentelemetry.trace import INVALID_SPAN_CONTEXT, NonRecordingSpan, SpanContext

from core.process import current_process
from observability import names
from observability.invocations import Invocation
from observability.spans import step_span
from observability.stored_spans import context_named
from observability.tracing import current_tracing

_FIRST: LiteralString = """
select trace_id, span_id from boring.span
where run_id = %s and parent_id is null order by started_at limit 1
"""
_TRIES: Final = 3
_PAUSE_S: Final = 0.5
"""Between two looks for the run's own span, which may be on its way to the database."""


@asynccontextmanager
async def step_afterwards(
    step: str, *, agent: str, run_id: str, whose: Mapping[str, str]
) -> AsyncGenerator[None]:
    """Write the span of a step that follows a run; what it asks of models is below it, and of the run.

    Where the run's own span is not found, such as of an agent that is not traced, it begins a trace.

    Args:
        step: its name.
        agent: the graph's name.
        run_id: the run.
        whose: attributes of all its spans, see `observability.spans.invocation`.
    """
    tracing = await current_tracing()
    first = NonRecordingSpan(await _first_of(run_id))
    part_of = Invocation(tracing.tracer, first, agent, whose, tracing.decisions.put, run_id=run_id)
    part_of.tells_content = tracing.tells_content(whose[names.TENANT])
    with step_span(part_of, step, {}):
        yield


async def _first_of(run_id: str) -> SpanContext:
    database, tracing = await (await current_process()).database(), await current_tracing()
    for left in reversed(range(_TRIES)):
        await tracing.outlets[0].flush()
        async with database.pool.connection() as connection:
            row = await (await connection.execute(_FIRST, (run_id,))).fetchone()
        if row is not None:
            return context_named(f"{row['trace_id']}-{row['span_id']}")
        if left:
            await asyncio.sleep(_PAUSE_S)
    return INVALID_SPAN_CONTEXT
