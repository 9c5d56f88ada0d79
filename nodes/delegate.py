"""Hands work to another agent and brings back its report. One worker for each agent, named like it."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, cast

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage
from langgraph.errors import GraphBubbleUp
from langgraph.pregel import Pregel
from langgraph.runtime import Runtime
from pydantic import ValidationError

from core.client_errors import named_error
from core.context import RunContext, context_of
from core.errors import ThreadBusyError
from core.state import Answer, CallTask, Source, StopReason, Turn
from core.text import storable, storable_text
from memory.claims import current_claims
from nodes.assignments import Assignment, Delegate, Request, Task, tokens_told, wording
from nodes.attribution import sources_found
from nodes.faults import is_transient, readable
from nodes.judging import note_call
from nodes.routing import ASKED_BACK
from nodes.threads import Node, current_journal, holding, namespace_of, thread_of, traced_step
from tools.progress import report_progress
from tools.records import CallRecord, Ended, result_message
from tools.results import cut, describe_invalid

MAX_DEPTH: Final = 4
"""How often a request may be handed down."""
ATTEMPTS: Final = 2
"""How often an agent is asked that fails for a reason that may pass."""
MAX_REPORT_CHARS: Final = 8_000
LEAST_TOKENS: Final = 256
"""With fewer left an agent is not asked: one call of a model takes more."""
_LEAST_TIME_S: Final = 0.001
_ADVICE = " Ask again, ask another agent, or go on without it and say so."
_ANSWER_IT = "Answer it in a new task, whole in itself, or ask the user."
ASKS_BACK: Final[StopReason] = "asked_back"
"""How the turn of a team ended that reports a question. No turn of an agent's own ends so."""
_OUTCOMES: Mapping[StopReason, Ended] = {
    "answered": "ok",
    "declined": "declined",
    "denied": "rejected",
    "refused": "refused",
}


@dataclass(frozen=True, slots=True)
class Report:
    """What came of handing work on.

    Attributes:
        status: how the agent's turn ended.
        text: its answer, or why there is none.
        sources: passages that the answer rests on.
        seconds: of work.
        attempts: how often it was asked.
    """

    status: StopReason
    text: str
    sources: tuple[Source, ...] = ()
    input_tokens: int = 0
    output_tokens: int = 0
    seconds: float = 0.0
    attempts: int = 1


def delegating(delegate: Delegate) -> Node:
    """Return the node that hands work to an agent."""
    graph = delegate.graph  # LangGraph finds it here, and so draws and inspects what is inside

    async def hand_over(state: CallTask, runtime: Runtime[RunContext]) -> dict[str, Any]:
        with traced_step(delegate.name, state, runtime):
            async with holding(runtime):
                message = await _handed_over(delegate, graph, state, runtime)
            note_call(message.artifact, state["step"])
        return {"messages": [message]}

    hand_over.__name__ = hand_over.__qualname__ = delegate.name
    return hand_over


async def _handed_over(
    delegate: Delegate, graph: Pregel[Any, Any, Any, Any], task: CallTask, runtime: Runtime[RunContext]
) -> ToolMessage:
    started_at = datetime.now(UTC).isoformat()
    call = task["call"]
    if task["duplicate_of"] is not None:
        return _answered(task, "duplicate", "This was given twice in one message; it was handed on once.")
    try:
        assignment = delegate.arguments.model_validate(call["args"])
    except ValidationError as error:
        return _answered(task, "invalid", describe_invalid(delegate, error, call["args"]))
    context = _child(context_of(runtime), assignment, task)
    refusal = task["blocked"] or _refusal(context)
    if refusal is not None:
        report = Report("refused", f"{delegate.name} was not asked. {refusal}", attempts=0)
        return _told(task, assignment, report, started_at)
    report_progress(f"{delegate.name} is working")
    await _record_plan(runtime)
    text, attached = storable_text(wording(assignment, task["found"])), task.get("attached") or []
    content: Any = [{"type": "text", "text": text}, *attached] if attached else text
    asked = HumanMessage(content, id=f"request_{call['id']}")
    report = await _reported(delegate.name, graph, asked, context)
    return _told(task, assignment, report, started_at)


def _child(context: RunContext, assignment: Assignment, task: CallTask) -> RunContext:
    """Return what the agent may use: its share of what is left, and no more time than that."""
    left_s = context.max_time_s - task["elapsed_s"]
    own_s = assignment.deadline_s if isinstance(assignment, Task) else None
    tokens = int((context.max_tokens - task["used_tokens"]) * task["share"])
    return replace(
        context,
        depth=context.depth + 1,
        run_id=task["run_id"],
        max_tokens=max(1, tokens),
        max_time_s=max(_LEAST_TIME_S, min(left_s, own_s or left_s)),
    )


def _refusal(context: RunContext) -> str | None:
    if context.depth > MAX_DEPTH:
        return f"A request may be handed down {MAX_DEPTH} times."
    if context.max_tokens < LEAST_TOKENS:
        return f"Of the tokens of this request {context.max_tokens} are left for it; it needs {LEAST_TOKENS}."
    if context.max_time_s <= _LEAST_TIME_S:
        return "The time of this request is over."
    return None


async def _record_plan(runtime: Runtime[RunContext]) -> None:
    """Record the plan that this work is part of, before anything can come of it."""
    mine = (await current_claims()).standing(thread_of(runtime), namespace_of(runtime))
    if mine.plan is not None:
        await (await current_journal()).record(mine.plan, thread_of(runtime))


async def _reported(
    name: str, graph: Pregel[Any, Any, Any, Any], asked: HumanMessage, context: RunContext
) -> Report:
    """Ask the agent, again where it failed for a reason that may pass; return what it says."""
    begun = time.monotonic()
    for attempt in range(1, ATTEMPTS + 1):
        left_s = context.max_time_s - (time.monotonic() - begun)
        limit = asyncio.timeout(left_s)
        try:
            values = await _answer_of(graph, asked, context, limit)
            return replace(_report(values, time.monotonic() - begun), attempts=attempt)
        except (GraphBubbleUp, ThreadBusyError):
            raise
        except Exception as error:  # noqa: BLE001 - whatever an agent raises is reported, not passed on
            if limit.expired():
                text = f"{name} had no report after {context.max_time_s:g} s."
                return Report("deadline", text, seconds=time.monotonic() - begun, attempts=attempt)
            if attempt == ATTEMPTS or not is_transient(error):
                why = readable(error) if _is_ours(graph) else f"{named_error(error).rstrip('.')}."
                text = f"{name} failed: {why}"
                return Report("failed", text, seconds=time.monotonic() - begun, attempts=attempt)
    raise AssertionError("the last attempt returns")


async def _answer_of(
    graph: Pregel[Any, Any, Any, Any], asked: HumanMessage, context: RunContext, limit: asyncio.Timeout
) -> Any:
    """Run the graph. An agent of ours keeps the time itself; another one knows of no limit."""
    if _is_ours(graph):
        return await graph.ainvoke({"messages": [asked]}, context=context)
    handed_down = context if graph.context_schema is None else None
    async with limit:
        return await graph.ainvoke({"messages": [asked]}, context=handed_down)


def _is_ours(graph: Pregel[Any, Any, Any, Any]) -> bool:
    return graph.context_schema is RunContext


def _report(values: Any, seconds: float) -> Report:
    """Return what a graph's final state says. Graphs that are not ours say it by their last message."""
    state = cast("Mapping[str, Any]", values) if isinstance(values, Mapping) else {}
    messages = cast("list[AnyMessage]", state.get("messages") or [])
    answer, turn = cast("Answer", state.get("answer")), cast("Turn", state.get("turn"))
    if not (_has(answer, Answer) and _has(turn, Turn)):
        text = messages[-1].text if messages and isinstance(messages[-1], AIMessage) else ""
        told_in, told_out = tokens_told(messages)
        return Report(
            _status(messages, "answered" if text else "failed"),
            text or "It said nothing.",
            input_tokens=told_in,
            output_tokens=told_out,
            seconds=seconds,
        )
    cited = set(answer["sources"])
    return Report(
        _status(messages, answer["status"]),
        answer["text"],
        sources=tuple(one for one in sources_found(messages) if one["source"] in cited),
        input_tokens=turn["input_tokens"],
        output_tokens=turn["output_tokens"],
        seconds=turn["elapsed_s"],
    )


def _has(value: object, kind: type[Answer] | type[Turn]) -> bool:
    """Tell whether a part of a state is what our agents make of it: others may use the same names."""
    return isinstance(value, Mapping) and kind.__required_keys__ <= value.keys()


def _status(messages: Sequence[AnyMessage], status: StopReason) -> StopReason:
    """Return how a turn ended; a router that asks, or passes a question on, has no report."""
    looked_at = [*messages[-1:], *(one for one in messages if isinstance(one, ToolMessage))]
    asks = any(getattr(one, "additional_kwargs", {}).get(ASKED_BACK) for one in looked_at)
    return ASKS_BACK if asks and status == "answered" else status


def _told(task: CallTask, assignment: Assignment, report: Report, started_at: str) -> ToolMessage:
    # A router passes the question of a specialist on, word for word: its own report is what it is then.
    passed_on = report.status == ASKS_BACK and isinstance(assignment, Request)
    status: StopReason = "answered" if passed_on else report.status
    ended: Ended = _OUTCOMES.get(status, "error")
    text = storable_text(cut(report.text, MAX_REPORT_CHARS))
    said = text if ended == "ok" else f"{text}{_ADVICE}"
    if status == ASKS_BACK:
        said = f"{task['call']['name']} asks a question before it can go on: {text}\n{_ANSWER_IT}"
    message = _answered(task, ended, said, attempt=report.attempts, started_at=started_at)
    if passed_on:
        message.additional_kwargs[ASKED_BACK] = True
    record = cast("CallRecord", message.artifact)
    record["latency_ms"] = round(report.seconds * 1000, 3)
    record["sources"] = storable(report.sources)
    record["handed_on"] = {
        "task": assignment.task if isinstance(assignment, Task) else "",
        "asked": assignment.goal if isinstance(assignment, Task) else assignment.request,
        "status": status,
        "text": text,
        "input_tokens": report.input_tokens,
        "output_tokens": report.output_tokens,
    }
    return message


def _answered(
    task: CallTask, ended: Ended, text: str, *, attempt: int = 0, started_at: str | None = None
) -> ToolMessage:
    call = task["call"]
    failed = ended != "ok"
    record = CallRecord(
        call_id=call["id"] or "",
        tool=call["name"],
        effect="agent",
        arguments=storable(call["args"]),
        step=task["step"],
        attempt=attempt,
        outcome=ended,
        error=text if failed else None,
        started_at=started_at or datetime.now(UTC).isoformat(),
        latency_ms=0.0,
        sources=[],
        key=None,
        replayed=False,
        approved_by=None,
    )
    return result_message(record, text)
