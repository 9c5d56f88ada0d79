"""Runs and spans as they come, looked for from time to time: soon after news, seldom while there are none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import datetime
from typing import Final

from core.database import Database
from core.errors import InputError
from observability.run_search import runs_found, spans_found, statuses_found
from observability.trace_log import RunFigures, RunStatus, SpanRow, WantedRuns

SOON_S: Final = 0.5
"""How long after news it is looked for more; a span waits a second at most before it is stored."""
_SELDOM_S: Final = 4.0
_LAST_SPANS_S: Final = 5.0
"""How long the last span of a run that is over is waited for; that of a killed process never comes."""
_OVER: Final = frozenset({"finished", "stopped", "failed"})
_MOST_NEW: Final = 1000


async def followed_run(
    database: Database, run: RunFigures, *, with_content: bool = False
) -> AsyncGenerator[tuple[RunFigures, Sequence[SpanRow]]]:
    """Yield a run with its new spans whenever there are some or its status has changed, until it is over.

    Spans come when they end, so those of a step before the step's own.

    Args:
        database: where both are looked for.
        run: as it was found; all its spans so far come first.
        with_content: what was asked and answered is wanted too, as far as they hold it.

    Raises:
        InputError: the run is deleted meanwhile.
    """
    seen: set[str] = set()
    told, pause, over_for, is_whole = "", SOON_S, 0.0, False
    while True:
        found = await runs_found(database, WantedRuns(run_id=run.run_id), limit=1)
        if not found:
            raise InputError(f"The run {run.run_id} was deleted meanwhile.")
        now = found[0]
        spans = [one for one in await spans_found(database, now) if one.span_id not in seen]
        if spans and with_content:  # which is much, and looked up only where there is something new
            whole = await spans_found(database, now, with_content=True)
            spans = [one for one in whole if one.span_id not in seen]
        seen |= {one.span_id for one in spans}
        if spans:
            is_whole = any(_is_last(one) for one in spans)
        if spans or now.status != told:
            yield now, sorted(spans, key=_ended)
            pause = SOON_S
        told = now.status
        if told in _OVER:
            if is_whole or over_for >= _LAST_SPANS_S:
                return
            over_for, pause = over_for + SOON_S, SOON_S
        await asyncio.sleep(pause)
        pause = min(2 * pause, _SELDOM_S)


async def followed_runs(
    database: Database, wanted: WantedRuns, *, limit: int
) -> AsyncGenerator[Sequence[RunFigures]]:
    """Yield runs that have begun or have another status than before, the first to begin first, for ever.

    Args:
        database: where they are looked for.
        wanted: which.
        limit: how many there are at first.
    """
    known: dict[str, str] = {}
    listed = await statuses_found(database, wanted, limit=limit)
    oldest = min((one.started_at for one in listed), default=None) if len(listed) == limit else None
    pause = SOON_S
    while True:
        news = [one.run_id for one in listed if known.get(one.run_id) != one.status]
        known = {one.run_id: one.status for one in listed}
        if news:
            found = await runs_found(database, WantedRuns(run_ids=news), limit=len(news))
            yield found[::-1]
            pause = SOON_S
        await asyncio.sleep(pause)
        pause = min(2 * pause, _SELDOM_S)
        listed = await _standing(database, wanted, known, oldest)


async def _standing(
    database: Database, wanted: WantedRuns, known: Mapping[str, str], oldest: datetime | None
) -> list[RunStatus]:
    """Return the newest runs, but none from before the oldest, and known ones that were not over."""
    found = await statuses_found(database, wanted, limit=_MOST_NEW)
    listed = [one for one in found if oldest is None or one.started_at >= oldest]
    named = {one.run_id for one in listed}
    left = [run_id for run_id, status in known.items() if status not in _OVER and run_id not in named]
    if left:
        listed += await statuses_found(database, WantedRuns(run_ids=left), limit=len(left))
    return listed


def _ended(span: SpanRow) -> float:
    return span.started_at.timestamp() + span.duration_ms / 1000


def _is_last(span: SpanRow) -> bool:
    return span.parent_id is None and span.operation == "invoke_agent" and span.status != "interrupted"
