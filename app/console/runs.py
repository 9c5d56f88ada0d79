"""The pages of runs: the list, one run with its spans and decisions, and the threads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import groupby
from typing import TYPE_CHECKING, Final, get_args
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from app.console.rating_form import form_shown
from app.console.rendering import page
from app.console.viewing import viewer_of
from core.process import current_process
from core.text import storable_text
from observability.feedback import WantedFeedback, feedback_found, ratings_of
from observability.run_search import runs_found, spans_found
from observability.span_counts import agents_seen
from observability.story import decisions_of_run
from observability.trace_log import InStatus, WantedRuns

if TYPE_CHECKING:
    from observability.run_search import Order
    from observability.trace_log import Rated, RunFigures, SpanRow

_MOST_DIGITS: Final = 100
RATED: Final[Mapping[Rated, str]] = {
    "rated": "rated",
    "liked": "liked",
    "disliked": "disliked",
    "comment": "with a comment",
    "signal": "with a signal",
    "rephrased": "rephrased",
    "abandoned": "abandoned",
    "edited_approval": "edited approval",
}
STATUSES: Final[tuple[InStatus, ...]] = get_args(InStatus)
PERIODS: Final = {
    "1h": timedelta(hours=1),
    "1d": timedelta(days=1),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
}
_PAGE: Final = 50
_MOST_SPANS: Final = 1000
_MOST_DECISIONS: Final = 500
_MOST_DEPTH: Final = 10
_MOST_SAID: Final = 100
_SETTLING: Final = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Bar:
    """A span as the waterfall shows it.

    Attributes:
        depth: how many spans it lies in.
        begin: where its bar begins, in percent of the trace.
        width: of the bar, in percent.
    """

    span: SpanRow
    depth: int
    begin: float
    width: float


@dataclass(frozen=True, slots=True)
class Trace:
    """One invocation of a run.

    Attributes:
        started_at: of its first span.
        duration_ms: from there to the end of the last.
    """

    trace_id: str
    started_at: datetime
    duration_ms: float
    bars: Sequence[Bar]


async def list_runs(request: Request) -> Response:
    """Show the newest runs of those that are looked for, or the dearest."""
    database = await (await current_process()).database()
    asked = {name: storable_text(value.strip()) for name, value in request.query_params.items()}
    tenant = viewer_of(request).tenant_of(asked.get("tenant"))
    by: Order = "dearest" if asked.get("by") == "dearest" else "newest"
    wanted = WantedRuns(
        agent=asked.get("agent") or None,
        user=asked.get("user") or None,
        tenant=tenant,
        thread_id=asked.get("thread") or None,
        status=next((one for one in STATUSES if one == asked.get("status")), None),
        since=PERIODS.get(asked.get("since", "")),
        least_usd=_dollars(asked, "least"),
        most_usd=_dollars(asked, "most"),
        priced={"known": True, "unknown": False}.get(asked.get("cost", "")),
        rated=_rated(asked.get("rating", "")),
    )
    found = await runs_found(database, wanted, limit=_PAGE + 1, by=by, behind=_behind(asked, by))
    return await page(
        request,
        "runs.html",
        runs=found[:_PAGE],
        ratings=await ratings_of(database, tenant, [one.run_id for one in found]),
        more=_more(asked, found, "runs", by),
        asked=asked,
        rated=RATED,
        agents=await agents_seen(database, since=PERIODS["30d"], tenant=tenant),
        statuses=STATUSES,
        periods=list(PERIODS),
    )


async def show_run(request: Request) -> Response:
    """Show one run: its spans as a waterfall, what it decided, and what was said of it."""
    return await run_page(request)


async def run_page(request: Request, *, fault: str = "", fields: dict[str, str] | None = None) -> Response:
    """Return the page of the run that an address names.

    Args:
        request: what was asked.
        fault: why what was said of the run is not taken.
        fields: what was said so; None where nothing was.
    """
    run, spans = await run_asked_for(request, most=_MOST_SPANS + 1)
    database = await (await current_process()).database()
    said = await feedback_found(database, run.tenant, WantedFeedback(run_id=run.run_id), limit=_MOST_SAID + 1)
    decisions = await decisions_of_run(database, run.run_id, _MOST_DECISIONS + 1)
    return await page(
        request,
        "run.html",
        status_code=400 if fault else 200,
        run=run,
        rating=(await ratings_of(database, run.tenant, [run.run_id])).get(run.run_id),
        said=said[:_MOST_SAID],
        is_more_said=len(said) > _MOST_SAID,
        form=form_shown(request, run, said, fields),
        fault=fault,
        traces=_traces(spans[:_MOST_SPANS]),
        is_live=_is_live(run),
        is_cut=len(spans) > _MOST_SPANS,
        most=_MOST_SPANS,
        decisions=decisions[:_MOST_DECISIONS],
        most_decisions=_MOST_DECISIONS if len(decisions) > _MOST_DECISIONS else None,
    )


async def run_asked_for(request: Request, *, most: int = _MOST_SPANS) -> tuple[RunFigures, list[SpanRow]]:
    """Return the run that an address names, with its first spans.

    Raises:
        HTTPException: there is none that who asks may see.
    """
    database = await (await current_process()).database()
    wanted = WantedRuns(run_id=storable_text(request.path_params["run_id"]), tenant=viewer_of(request).tenant)
    found = await runs_found(database, wanted, limit=1)
    if not found:
        raise HTTPException(404, "There is no run with this id. It may have been forgotten or pruned.")
    return found[0], await spans_found(database, found[0], limit=most)


async def list_threads(request: Request) -> Response:
    """Show the threads, the last used first, each with its last run."""
    database = await (await current_process()).database()
    asked = {"behind": request.query_params.get("behind", "")}
    behind, wanted = _behind(asked, "newest"), WantedRuns(tenant=viewer_of(request).tenant)
    found = await runs_found(database, wanted, limit=_PAGE + 1, behind=behind, newest_of_thread=True)
    return await page(
        request, "threads.html", runs=found[:_PAGE], more=_more(asked, found, "threads"), asked=asked
    )


def _is_live(run: RunFigures) -> bool:
    """Tell whether the page is still to change: spans arrive a moment after the run's end."""
    if run.finished_at is None:
        return run.status == "running"
    return datetime.now(UTC) - run.finished_at < _SETTLING


def _more(asked: dict[str, str], found: Sequence[RunFigures], place: str, by: Order = "newest") -> str | None:
    """Return the address of the next page, where there is one."""
    if len(found) <= _PAGE:
        return None
    kept = {name: value for name, value in asked.items() if value and name != "behind"}
    last = found[_PAGE - 1]
    at = last.started_at.isoformat() if by == "newest" else f"{last.cost_usd:f}"
    return f"{place}?{urlencode({**kept, 'behind': f'{at},{last.run_id}'})}"


def _behind(asked: dict[str, str], by: Order) -> tuple[datetime | Decimal, str] | None:
    """Return behind which run an address asks to go on.

    Raises:
        HTTPException: it names none.
    """
    if not asked.get("behind"):
        return None
    text, _, last = storable_text(asked["behind"]).partition(",")
    try:
        at = datetime.fromisoformat(text) if by == "newest" else Decimal(text)
    except (ValueError, ArithmeticError):
        at = None
    is_known = at.tzinfo is not None if isinstance(at, datetime) else at is not None and _is_amount(at)
    if at is None or not is_known:
        raise HTTPException(400, "`behind` names no place in this list. Open the list anew.")
    return at, last


def _rated(asked: str) -> Rated | None:
    """Return what an address asks to be said of runs.

    Raises:
        HTTPException: it is nothing that can be.
    """
    if not asked:
        return None
    found: Rated | None = next((name for name in RATED if name == asked), None)
    if found is None:
        raise HTTPException(400, f"`rating` can't be {asked[:40]!r}. Give one of {', '.join(RATED)}.")
    return found


def _dollars(asked: dict[str, str], name: str) -> Decimal | None:
    """Return an amount that an address names.

    Raises:
        HTTPException: it is none.
    """
    if not asked.get(name):
        return None
    try:
        amount = Decimal(asked[name])
    except ArithmeticError:
        amount = Decimal("NaN")
    if not _is_amount(amount):
        raise HTTPException(400, f"`{name}` is no amount of US dollars. Give one such as 0.05.")
    return amount


def _is_amount(amount: Decimal) -> bool:
    """Tell whether it is an amount of US dollars that the database can compare."""
    is_short = len(amount.as_tuple().digits) <= _MOST_DIGITS and abs(amount.adjusted()) < _MOST_DIGITS
    return amount.is_finite() and amount >= 0 and is_short


def _traces(spans: Sequence[SpanRow]) -> list[Trace]:
    """Return the traces of a run, the first to begin first."""
    begun = {span.trace_id: number for number, span in reversed(list(enumerate(spans)))}
    ordered = sorted(spans, key=lambda span: begun[span.trace_id])
    return [_trace(trace_id, list(group)) for trace_id, group in groupby(ordered, lambda one: one.trace_id)]


def _trace(trace_id: str, spans: Sequence[SpanRow]) -> Trace:
    first = min(span.started_at for span in spans)
    offsets = {one.span_id: (one.started_at - first) / timedelta(milliseconds=1) for one in spans}
    whole = max(offsets[one.span_id] + one.duration_ms for one in spans) or 1.0
    bars = [
        Bar(one, depth, 100 * offsets[one.span_id] / whole, max(0.4, 100 * one.duration_ms / whole))
        for one, depth in _in_order(spans)
    ]
    return Trace(trace_id, first, whole, bars)


def _in_order(spans: Sequence[SpanRow]) -> list[tuple[SpanRow, int]]:
    """Return spans with their depth, each followed by those that lie in it."""
    known = {one.span_id for one in spans}
    below: dict[str, list[SpanRow]] = {}
    for one in spans:
        below.setdefault(one.parent_id if one.parent_id in known else "", []).append(one)
    ordered: list[tuple[SpanRow, int]] = []
    left = [(one, 0) for one in reversed(below.get("", []))]
    while left:
        one, depth = left.pop()
        ordered.append((one, min(depth, _MOST_DEPTH)))
        left += [(inner, depth + 1) for inner in reversed(below.get(one.span_id, []))]
    return ordered
