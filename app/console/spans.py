"""The page of one span: what is kept of it; of a step, its part in the state; of a call, what was said."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from app.console.plain_values import Shown, shown
from app.console.rendering import page
from app.console.runs import run_asked_for
from app.console.said import Said, place_of, said_at_model, said_at_tool, said_in_span
from app.console.viewing import viewer_of
from core.process import current_process
from memory.checkpoints import postgres_checkpointer
from memory.step_states import state_after, written_by
from observability import names
from observability.run_search import is_thread_of

if TYPE_CHECKING:
    from core.trace_settings import Content
    from observability.trace_log import RunFigures, SpanRow

_NEXT: Final = "branch:to:"
_SENDS: Final = "__pregel_tasks"
_ASKED: Final = "__interrupt__"
_MEANT: Final = {_ASKED: "asked of a person", "__resume__": "answered by a person", "__error__": "error"}
"""Channels of LangGraph's own that say something, by what they are called here."""
_SHARED: Final = "Other tenants use the thread too, so that only operators see what stands in it."


@dataclass(frozen=True, slots=True)
class StepState:
    """A step's part in the state of its graph.

    Attributes:
        changed: what it wrote, channel by channel.
        goes_on: the steps that it has go on.
        whole: the state after it; None where it was not asked for, or there is none.
        why_none: why a state is not shown; empty where it is, or was not asked for.
    """

    changed: Sequence[Shown] = ()
    goes_on: Sequence[str] = ()
    whole: Sequence[Shown] | None = None
    why_none: str = ""


async def show_span(request: Request) -> Response:
    """Show one span of a run; with `state=1`, of a step, the whole state after it."""
    run, spans = await run_asked_for(request)
    wanted = request.path_params["span_id"]
    span = next((one for one in spans if one.span_id == wanted), None)
    if span is None:
        raise HTTPException(
            404, "There is no such span of this run, or it is not among those that are shown."
        )
    steps = [one for one in spans if one.operation == names.RUN_STEP]
    at = next((number for number, one in enumerate(steps) if one.span_id == wanted), None)
    is_whole = request.query_params.get("state") == "1"
    content = await _content_of(run, span)
    return await page(
        request,
        "span.html",
        run=run,
        span=span,
        attributes=_attributes(span),
        state=await _state_shown(request, span, content, is_whole=is_whole) if at is not None else None,
        is_whole=is_whole,
        said=await _said(request, span, spans, content),
        content=content,
        earlier=steps[at - 1] if at else None,
        later=steps[at + 1] if at is not None and at + 1 < len(steps) else None,
    )


async def _content_of(run: RunFigures, span: SpanRow) -> Content:
    """Return how what was said is shown. What several tenants have said, as the strictest setting has it."""
    process = await current_process()
    settings = process.settings
    is_own = span.operation == names.EXECUTE_TOOL or not settings.content_of
    if is_own or await is_thread_of(await process.database(), span.thread_id or "", run.tenant):
        return settings.content_for(run.tenant)
    return settings.content_for(None, *settings.content_of)


def _attributes(span: SpanRow) -> dict[str, Any]:
    """Return what else is kept of a span, by name."""
    told = {"provider": span.provider, "model": span.model, "tool": span.tool, "agent": span.agent}
    return {name: held for name, held in (told | span.attributes).items() if held not in (None, "")}


async def _state_shown(request: Request, span: SpanRow, content: Content, *, is_whole: bool) -> StepState:
    tenant, database = viewer_of(request).tenant, await (await current_process()).database()
    if tenant is not None and not await is_thread_of(database, span.thread_id or "", tenant):
        return StepState(why_none=_SHARED)
    return await _state_of(span, content, is_whole=is_whole)


async def _said(request: Request, span: SpanRow, spans: Sequence[SpanRow], content: Content) -> Said | None:
    """Return what was asked and answered at a call of a model or a tool; None for other spans."""
    if span.operation == names.EXECUTE_TOOL:
        return await said_at_tool(span, content)
    if span.operation not in {names.CHAT, names.INVOKE_AGENT}:
        return None
    tenant, database = viewer_of(request).tenant, await (await current_process()).database()
    if tenant is not None and not await is_thread_of(database, span.thread_id or "", tenant):
        return Said(why_none=_SHARED) if span.operation == names.CHAT else None
    if (held := await said_in_span(span, content)) is not None or span.operation == names.INVOKE_AGENT:
        return held
    step = next((one for one in spans if one.span_id == span.parent_id), None)
    return await said_at_model(None if step is None else place_of(step), content)


async def _state_of(span: SpanRow, content: Content, *, is_whole: bool) -> StepState:
    if content == "off":
        return StepState(why_none="BORING_CONTENT is off, so that nothing of what was said is shown.")
    if (place := place_of(span)) is None:
        return StepState(why_none="The span names no checkpoint: its graph kept none, or it is an older one.")
    saver = await postgres_checkpointer()
    written = await written_by(saver, place)
    state = await state_after(saver, place) if is_whole or not written else None
    if not written and state is None:
        return StepState(why_none="Its checkpoints are not kept any more: they were pruned, or forgotten.")
    return await asyncio.to_thread(_made, written, state, content, span.status, is_whole=is_whole)


def _made(
    written: Sequence[tuple[str, Any]], state: Any, content: Content, status: str, *, is_whole: bool
) -> StepState:
    goes_on = [channel.removeprefix(_NEXT) for channel, _ in written if channel.startswith(_NEXT)]
    goes_on += [str(getattr(sent, "node", "?")) for channel, sent in written if channel == _SENDS]
    changed = [
        shown(_MEANT.get(channel, channel), value, content)
        for channel, value in written
        if not channel.startswith((_NEXT, "__")) or channel in _MEANT
    ]
    whole = [
        shown(channel, value, content)
        for channel, value in (state or {}).items()
        if not channel.startswith((_NEXT, "__"))
    ]
    why = ""
    if is_whole and state is None:
        why = "There is no state after it: its checkpoint is pruned, or the step did not come to its end."
        if status == "interrupted":
            why = (
                "There is no state after it yet, or never: the step waited for a person, and began anew then."
            )
    return StepState(changed, goes_on, whole if is_whole and state is not None else None, why)
