"""What was asked and answered at calls of models and tools, from what is kept of them anyway.

Spans hold no content, unless `BORING_SPAN_CONTENT` is on. A call of a tool is in the log of calls. What
a model was asked is made of the state that its step began with, and what it answered is among what the step
wrote.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from langchain_core.messages import AIMessage

from app.console.plain_values import Shown, shown
from core.process import current_process
from memory.checkpoints import postgres_checkpointer
from memory.step_states import StepPlace, state_before, written_by
from observability import names
from observability.call_log import Wanted, recent_calls
from observability.content_dialects import as_messages, worded_message
from observability.run_search import content_of_span
from observability.span_content import kept_content

if TYPE_CHECKING:
    from core.trace_settings import Content
    from observability.trace_log import SpanRow

_OFF: Final = "BORING_CONTENT is off, so that nothing of what was said is shown."
_ASKED_BY: Final = ("summary", "notes", "messages")
"""The channels that a model is told of, in this order."""


@dataclass(frozen=True, slots=True)
class Said:
    """What was said at one call.

    Attributes:
        asked: what went in.
        answered: what came of it.
        why_none: why neither is shown; empty where something is.
        in_span: the span itself holds it, message by message.
    """

    asked: Sequence[Shown] = ()
    answered: Sequence[Shown] = ()
    why_none: str = ""
    in_span: bool = False


def place_of(step: SpanRow) -> StepPlace | None:
    """Return where a step stands among the checkpoints; None where its span does not say."""
    at, task = step.attributes.get(names.CHECKPOINT), step.attributes.get(names.CHECKPOINT_NS)
    if not (isinstance(at, str) and isinstance(task, str) and step.thread_id):
        return None
    return StepPlace(step.thread_id, at, task, step.started_at + timedelta(milliseconds=step.duration_ms))


async def said_at_tool(span: SpanRow, content: Content) -> Said:
    """Return what a tool was given and gave back, as far as its call is in the log of this run."""
    if content == "off":
        return Said(why_none=_OFF)
    call_id = span.attributes.get(names.TOOL_CALL)
    wanted = Wanted(call_id=str(call_id), run_id=span.run_id, thread_id=span.thread_id)
    database = await (await current_process()).database()
    logged = await recent_calls(database, wanted, limit=1) if call_id and span.run_id else []
    if not logged:
        return Said(why_none="Its call is not in the log of calls: it waits for a person, or did not end.")
    call = logged[0]
    told = {"result": call.result, "error": call.error}
    return await asyncio.to_thread(_made, {"arguments": call.arguments}, told, content)


async def said_in_span(span: SpanRow, content: Content) -> Said | None:
    """Return what a span itself holds of it; None where it does not. The log has a tool's."""
    if content == "off" or span.operation == names.EXECUTE_TOOL:
        return None
    held = await content_of_span(await (await current_process()).database(), span)
    return await asyncio.to_thread(_messages, held, content) if held else None


def _messages(held: Mapping[str, Any], content: Content) -> Said:
    asked, answered = (
        [shown(one["role"], worded_message(one), content) for one in side]
        for side in as_messages(kept_content(held, content))
    )
    return Said(asked, answered, in_span=True)


async def said_at_model(step: StepPlace | None, content: Content) -> Said:
    """Return what stands in the state that a model was asked with in a step, and what it answered."""
    if content == "off":
        return Said(why_none=_OFF)
    if step is None:
        return Said(why_none="Its step names no checkpoint: its graph kept none, or it is an older one.")
    saver = await postgres_checkpointer()
    before, written = await state_before(saver, step), await written_by(saver, step)
    if before is None and not written:
        return Said(why_none="Its checkpoints are not kept any more: they were pruned, or forgotten.")
    asked = {name: held for name in _ASKED_BY if (held := (before or {}).get(name))}
    return await asyncio.to_thread(_made, asked, {"messages": _replies(written)}, content)


def _replies(written: Sequence[tuple[str, Any]]) -> list[AIMessage]:
    told = [
        value if isinstance(value, list) else [value] for channel, value in written if channel == "messages"
    ]
    return [one for value in told for one in value if isinstance(one, AIMessage)]


def _made(asked: Mapping[str, Any], answered: Mapping[str, Any], content: Content) -> Said:
    return Said(
        [shown(name, held, content) for name, held in asked.items()],
        [shown(name, held, content) for name, held in answered.items() if held not in (None, [])],
    )
