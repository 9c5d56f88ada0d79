"""`plan`: decides the next step, which is to call tools or to answer."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from langchain_core.messages import AIMessage, AnyMessage
from langchain_core.messages.utils import count_tokens_approximately
from langgraph.errors import GraphBubbleUp
from langgraph.runtime import Runtime

from core.context import RunContext, context_of
from core.protocols import FallbackSource, Model, ModelSource, PlanRequest, ResponseFormat, ToolSpec
from core.state import AgentState, Stop, Turn
from guardrails.limits import spent, time_left_s
from nodes.fallback import Line
from nodes.faults import MODEL_ATTEMPTS, is_transient, readable
from nodes.own_ids import with_own_ids
from nodes.seeing import Frame
from nodes.showing import shown_to
from nodes.structured import unfit
from nodes.threads import namespace_of
from observability.noting import Once, note_decision
from observability.plan_choices import ANSWER, choice_called
from tools.breakers import current_breakers


def planning(  # noqa: PLR0913 - each is a part of a planner, named at the call
    model: ModelSource,
    tools: Sequence[ToolSpec],
    *,
    system_prompt: str,
    response_format: ResponseFormat | None = None,
    fallbacks: FallbackSource | None = None,
    quiet: bool = False,
    examples: Sequence[AnyMessage] = (),
    several: bool = False,
) -> Callable[..., Awaitable[dict[str, Any]]]:
    """Return the node `plan`. The profile of a model says which form of planner it gets.

    Args:
        model: plans.
        tools: what it can call.
        system_prompt: the operator's words.
        response_format: the form of the answer, or None for an answer in words.
        fallbacks: the models to ask when the first one can't be used, in order.
        quiet: what the model says is not for the user, and not streamed.
        examples: turns of a chat that show the answer in its form, for models that learn by them.
        several: one plan may hold several calls, even of a model that plans by schema.
    """
    request = partial(
        PlanRequest, response_format=response_format, quiet=quiet, examples=examples, several=several
    )
    show = partial(shown_to, frame=Frame(system_prompt, tools), request=request)

    async def plan(state: AgentState, runtime: Runtime[RunContext]) -> dict[str, Any]:
        if stop := spent(state["turn"], context_of(runtime)):
            return {"stop": stop}
        line = await _line(model, fallbacks, state["turn"])
        begun = time.monotonic()
        ask = partial(show, state=state, place=namespace_of(runtime))
        planned = await _asked(line, ask, state, runtime, tools)
        if not isinstance(planned, AIMessage):
            return planned
        return _update(planned, time.monotonic() - begun, state, response_format)

    return plan


async def _line(model: ModelSource, fallbacks: FallbackSource | None, turn: Turn) -> Line:
    """Return the models to ask; the time until the first is open is not the turn's."""
    await model()
    models = [model, *(await fallbacks() if fallbacks else ())]
    return Line(models, await current_breakers(), turn["step"] + 1)


async def _asked(
    line: Line,
    ask: Callable[[Model], Awaitable[AIMessage]],
    state: AgentState,
    runtime: Runtime[RunContext],
    tools: Sequence[ToolSpec],
) -> AIMessage | dict[str, Any]:
    """Ask the models in order; return what one has planned, or why the turn has to end."""
    turn, context = state["turn"], context_of(runtime)
    begun = time.monotonic()
    try:
        async with asyncio.timeout(time_left_s(turn, context)):
            planned = await line.plan(ask)
    except TimeoutError:
        used = {**turn, "elapsed_s": turn["elapsed_s"] + time.monotonic() - begun}
        if len(line.names) > 1:
            _note_line(line, "none", runtime, [*line.reasons, "no answer in time"])
        return {"turn": used, "stop": _too_slow(context)}
    except GraphBubbleUp:
        raise
    except Exception as error:
        attempt = _attempt(runtime)
        if is_transient(error) and attempt < MODEL_ATTEMPTS:
            _note_retry(line, attempt, runtime)
            raise  # to the retry policy of the node
        if len(line.names) > 1:
            _note_line(line, "none", runtime, line.reasons)
        return {"stop": Stop(reason="failed", message=readable(error))}
    if line.reasons:
        _note_line(line, line.names[-1], runtime, line.reasons)
    _note_plan(planned, line, tools)
    return planned


def _update(
    message: AIMessage, seconds: float, state: AgentState, response_format: ResponseFormat | None
) -> dict[str, Any]:
    charged = _charged(state["turn"], state["messages"], message, seconds)
    if stop := unfit(message, response_format):
        return {"turn": charged, "stop": stop}
    return {"messages": [with_own_ids(message, state["messages"])], "turn": charged}


def _note_plan(planned: AIMessage, line: Line, tools: Sequence[ToolSpec]) -> None:
    called = [choice_called(call["name"]) for call in planned.tool_calls]
    candidates = [*(one.name for one in tools), ANSWER]
    choice = ", ".join(called) or ANSWER
    note_decision("plan", choice, step=line.step, by=line.names[-1], candidates=candidates)


def _note_line(line: Line, choice: str, runtime: Runtime[RunContext], reasons: Sequence[str]) -> None:
    """Note which model of the line answered, or that none did, and why not those before."""
    note_decision(
        "fallback",
        choice,
        step=line.step,
        candidates=line.names,
        reason=_passed_over(line.names, reasons),
        once=Once(namespace_of(runtime)),
    )


def _note_retry(line: Line, attempt: int, runtime: Runtime[RunContext]) -> None:
    note_decision(
        "retry",
        line.names[0],
        step=line.step,
        candidates=line.names,
        reason=f"attempt {attempt} of {MODEL_ATTEMPTS} failed: {_passed_over(line.names, line.reasons)}",
        once=Once(namespace_of(runtime), attempt - 1),
    )


def _passed_over(names: Sequence[str], reasons: Sequence[str]) -> str:
    return "; ".join(f"{name}: {why}" for name, why in zip(names, reasons, strict=False))


def _attempt(runtime: Runtime[RunContext]) -> int:
    info = runtime.execution_info
    return info.node_attempt if info else MODEL_ATTEMPTS


def _charged(turn: Turn, asked: Sequence[AnyMessage], message: AIMessage, seconds: float) -> Turn:
    """Add what a step took; an endpoint that reports no usage is charged by an estimate."""
    usage = message.usage_metadata
    used_in = usage["input_tokens"] if usage else count_tokens_approximately(asked)
    used_out = usage["output_tokens"] if usage else count_tokens_approximately([message])
    return {
        **turn,
        "step": turn["step"] + 1,
        "input_tokens": turn["input_tokens"] + used_in,
        "output_tokens": turn["output_tokens"] + used_out,
        "elapsed_s": round(turn["elapsed_s"] + seconds, 3),
    }


def _too_slow(context: RunContext) -> Stop:
    return Stop(
        reason="deadline",
        message=f"I stopped: the model had not answered when the {context.max_time_s:g} s "
        "that this request may take were over.",
    )
