"""The one loop of every agent: receive, plan, execute, observe, respond. The only place with its edges."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from langchain_core.messages import AIMessage
from langgraph.graph import END, START, StateGraph
from langgraph.types import RetryPolicy, Send

from core.context import RunContext
from core.state import AgentInput, AgentState, CallTask
from nodes.faults import MODEL_ATTEMPTS, is_transient

Node = Callable[..., Awaitable[dict[str, Any]]]
NODE_LIMIT_S = 3600.0
"""Last resort over a node that hangs; the limits of the run context are far below it."""
_MODEL_RETRY = RetryPolicy(
    max_attempts=MODEL_ATTEMPTS, initial_interval=0.5, max_interval=8.0, retry_on=is_transient
)


@dataclass(frozen=True, slots=True)
class Loop:
    """The five steps of an agent."""

    receive: Node
    plan: Node
    execute: Node
    observe: Node
    respond: Node


def assemble(
    loop: Loop, state: type[AgentState] = AgentState
) -> StateGraph[AgentState, RunContext, AgentInput, AgentState]:
    """Return the graph of a loop, not yet compiled.

    Args:
        loop: the five steps.
        state: the channels; another one for an agent with more of them.
    """
    builder = StateGraph(state, context_schema=RunContext, input_schema=AgentInput)
    builder.add_node("receive", loop.receive, timeout=NODE_LIMIT_S)
    builder.add_node("plan", loop.plan, timeout=NODE_LIMIT_S, retry_policy=_MODEL_RETRY)
    builder.add_node("execute", loop.execute, input_schema=CallTask, timeout=NODE_LIMIT_S)
    builder.add_node("observe", loop.observe, timeout=NODE_LIMIT_S)
    builder.add_node("respond", loop.respond, timeout=NODE_LIMIT_S)
    builder.add_edge(START, "receive")
    builder.add_conditional_edges("receive", _unless_stopped, ["plan", "respond"])
    builder.add_conditional_edges("plan", _calls_or_answer, ["execute", "respond"])
    builder.add_edge("execute", "observe")
    builder.add_conditional_edges("observe", _unless_stopped, ["plan", "respond"])
    builder.add_edge("respond", END)
    return builder


def _unless_stopped(state: AgentState) -> Literal["plan", "respond"]:
    return "respond" if state.get("stop") else "plan"


def _calls_or_answer(state: AgentState) -> Sequence[Send] | Literal["respond"]:
    last = state["messages"][-1]
    if state.get("stop") or not isinstance(last, AIMessage) or not last.tool_calls:
        return "respond"
    turn = state["turn"]
    return [
        Send("execute", CallTask(call=call, step=turn["step"], elapsed_s=turn["elapsed_s"]))
        for call in last.tool_calls
    ]
