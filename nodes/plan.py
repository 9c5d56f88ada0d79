"""`plan`: decides the next step, which is to call tools or to answer."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from langchain_core.messages import AIMessage, AnyMessage
from langchain_core.messages.utils import count_tokens_approximately
from langgraph.errors import GraphBubbleUp
from langgraph.runtime import Runtime

from core.context import RunContext, context_of
from core.process import current_process
from core.protocols import Model, ModelSource, PlanRequest, ResponseFormat, ToolSpec
from core.state import AgentState, Stop, Turn
from guardrails.limits import spent, time_left_s
from memory.buffer import fitted, turn_start
from nodes.faults import MODEL_ATTEMPTS, is_transient, is_unreachable, readable
from nodes.own_ids import with_own_ids
from nodes.schema_planner import SchemaPlanner
from nodes.structured import unfit
from nodes.tool_planner import ToolPlanner


def planning(
    model: ModelSource,
    tools: Sequence[ToolSpec],
    *,
    system_prompt: str,
    response_format: ResponseFormat | None = None,
) -> Callable[..., Awaitable[dict[str, Any]]]:
    """Return the node `plan`. The model's profile says which form of planner it gets."""

    async def plan(state: AgentState, runtime: Runtime[RunContext]) -> dict[str, Any]:
        turn = state["turn"]
        if stop := spent(turn, context_of(runtime)):
            return {"stop": stop}
        ready = await model()
        begun = time.monotonic()
        limit = time_left_s(turn, context_of(runtime))
        try:
            async with asyncio.timeout(limit):
                message = await _planned(ready, tools, state, system_prompt, response_format)
        except TimeoutError:
            used = {**turn, "elapsed_s": turn["elapsed_s"] + time.monotonic() - begun}
            return {"turn": used, "stop": _too_slow(context_of(runtime))}
        except GraphBubbleUp:
            raise
        except Exception as error:
            if is_transient(error) and _attempt(runtime) < MODEL_ATTEMPTS:
                if is_unreachable(error):
                    (await current_process()).forget(ready)
                raise  # to the retry policy of the node
            return {"stop": Stop(reason="failed", message=readable(error))}
        charged = _charged(turn, state["messages"], message, time.monotonic() - begun)
        if stop := unfit(message, response_format):
            return {"turn": charged, "stop": stop}
        return {"messages": [with_own_ids(message, state["messages"])], "turn": charged}

    return plan


def _attempt(runtime: Runtime[RunContext]) -> int:
    info = runtime.execution_info
    return info.node_attempt if info else MODEL_ATTEMPTS


async def _planned(
    model: Model,
    tools: Sequence[ToolSpec],
    state: AgentState,
    system_prompt: str,
    response_format: ResponseFormat | None,
) -> AIMessage:
    planner = SchemaPlanner(model) if model.profile.plans_by == "schema" else ToolPlanner(model)
    messages = fitted(
        state["messages"],
        context_tokens=model.profile.context_tokens,
        max_tokens=model.profile.max_tokens,
    )
    return await planner.plan(
        PlanRequest(
            system_prompt=system_prompt,
            messages=messages,
            turn_start=turn_start(messages),
            tools=tools,
            response_format=response_format,
        )
    )


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
