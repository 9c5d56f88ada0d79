"""The one loop of every agent: receive, plan, execute, observe, respond. The only place with its edges.

Calls that need a person take a way round by `review`.
"""

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from langgraph.graph import END, START, StateGraph
from langgraph.types import RetryPolicy, Send

from core.context import RunContext
from core.state import AgentInput, AgentState, CallTask, ReviewTask
from nodes.dispatch import call_tasks, review_tasks
from nodes.faults import MODEL_ATTEMPTS, is_transient
from nodes.threads import Node, on_its_thread

NODE_LIMIT_S = 3600.0
"""Last resort over a node that hangs; the limits of the run context are far below it."""
_MODEL_RETRY = RetryPolicy(
    max_attempts=MODEL_ATTEMPTS, initial_interval=0.5, max_interval=8.0, retry_on=is_transient
)


@dataclass(frozen=True, slots=True)
class Loop:
    """The steps of an agent."""

    receive: Node
    plan: Node
    execute: Node
    observe: Node
    review: Node | None
    """Left out where no call can need a person."""
    respond: Node
    agents: Mapping[str, Node] = field(default_factory=dict[str, Node])
    """The agents that work is handed to, each a worker beside `execute`, by the name of the call."""


def assemble(
    loop: Loop, state: type[AgentState] = AgentState
) -> StateGraph[AgentState, RunContext, AgentInput, AgentState]:
    """Return the graph of a loop, not yet compiled.

    Args:
        loop: the steps.
        state: the channels; another one for an agent with more of them.
    """
    builder = StateGraph(state, context_schema=RunContext, input_schema=AgentInput)
    builder.add_node("receive", on_its_thread("receive", loop.receive), timeout=NODE_LIMIT_S)
    builder.add_node(
        "plan", on_its_thread("plan", loop.plan), timeout=NODE_LIMIT_S, retry_policy=_MODEL_RETRY
    )
    builder.add_node(
        "execute", on_its_thread("execute", loop.execute), input_schema=CallTask, timeout=NODE_LIMIT_S
    )
    builder.add_node("observe", on_its_thread("observe", loop.observe), timeout=NODE_LIMIT_S)
    builder.add_node("respond", on_its_thread("respond", loop.respond, ends=True), timeout=NODE_LIMIT_S)
    builder.add_edge(START, "receive")
    builder.add_conditional_edges("receive", _unless_stopped, ["plan", "respond"])
    workers = ["execute", *loop.agents]
    for name, agent in loop.agents.items():  # not wrapped: LangGraph looks for the agent's graph in the node
        builder.add_node(name, agent, input_schema=CallTask)
    for worker in workers:
        builder.add_edge(worker, "observe")
    calls_or_answer, what_is_left = _routes(loop.agents)
    builder.add_conditional_edges("plan", calls_or_answer, [*workers, "respond"])
    after_observe = ["plan", "respond"]
    if loop.agents:
        after_observe += workers
    if loop.review is not None:
        review = on_its_thread("review", loop.review)
        builder.add_node("review", review, input_schema=ReviewTask, timeout=NODE_LIMIT_S)
        builder.add_edge("review", "observe")
        after_observe += ["review", "execute"]
    builder.add_conditional_edges("observe", what_is_left, list(dict.fromkeys(after_observe)))
    builder.add_edge("respond", END)
    return builder


def _unless_stopped(state: AgentState) -> Literal["plan", "respond"]:
    return "respond" if state.get("stop") else "plan"


def _routes(agents: Container[str]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return what follows `plan` and what follows `observe`."""

    def sent(state: AgentState) -> list[Send]:
        return [
            Send(task["call"]["name"] if task["call"]["name"] in agents else "execute", task)
            for task in call_tasks(state, agents)
        ]

    def calls_or_answer(state: AgentState) -> Sequence[Send] | Literal["respond"]:
        return "respond" if state.get("stop") else sent(state) or "respond"

    def what_is_left(state: AgentState) -> Sequence[Send] | Literal["plan", "respond"]:
        """Questions come first, then the calls that had to wait, then the next plan."""
        if state.get("stop"):
            return "respond"
        if questions := review_tasks(state):
            return [Send("review", task) for task in questions]
        return sent(state) or "plan"

    return calls_or_answer, what_is_left
