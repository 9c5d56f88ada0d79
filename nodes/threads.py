"""What a step knows of its thread: which one it is, and that nobody else is working on it."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from inspect import signature
from typing import Any

from langgraph.config import get_config
from langgraph.runtime import Runtime

from core.context import RunContext, context_of
from core.process import current_process
from core.worker import current_worker
from memory.claims import current_claims
from observability import names
from observability.invocations import KEY, Invocation, current_invocation
from observability.spans import step_span, tell_question
from tools.journal import Journal

Node = Callable[..., Awaitable[dict[str, Any]]]


def thread_of(runtime: Runtime[RunContext]) -> str:
    """Return the thread's id; runs without a checkpointer have none and share the empty one."""
    info = runtime.execution_info
    return (info.thread_id if info else None) or ""


def namespace_of(runtime: Runtime[RunContext]) -> str:
    """Return where in the invocation the agent runs: empty unless it is a part of another graph."""
    info = runtime.execution_info
    return info.checkpoint_ns.rpartition("|")[0] if info else ""


def place_of(runtime: Runtime[RunContext]) -> str:
    """Return a name for the agent's place on its thread, the same for whoever runs it again."""
    names = [part.partition(":")[0] for part in namespace_of(runtime).split("|") if part]
    return "|".join([thread_of(runtime), *names])


def is_part_of_run(runtime: Runtime[RunContext]) -> bool:
    """Tell whether the run is that of a graph around the agent, which was asked first and ends it."""
    invocation = current_invocation()
    return bool(context_of(runtime).depth) or (invocation is not None and invocation.parent is not None)


async def current_journal() -> Journal:
    """Return the journal of effects as this process's worker writes it."""
    return Journal(await (await current_process()).database(), (await current_worker()).id)


@asynccontextmanager
async def holding(runtime: Runtime[RunContext], *, ends: bool = False) -> AsyncGenerator[None]:
    """Hold the thread for one step.

    Args:
        runtime: of the step.
        ends: the turn is over after it, unless another agent has asked for it and goes on.

    Raises:
        ThreadBusyError: another invocation is working on the thread, or has taken it over.
    """
    claims = await current_claims()
    async with claims.working(thread_of(runtime), runtime.control) as claim:
        yield
        claim.ending = ends and not context_of(runtime).depth


def on_its_thread(name: str, node: Node, *, ends: bool = False) -> Node:
    """Return the node, made to hold its thread while it runs, and traced.

    Args:
        name: of the node in the graph.
        node: takes the state, and the runtime if it wants it.
        ends: the turn is over after it, and others may have the thread.

    Raises, when the node is run:
        ThreadBusyError: another invocation is working on the thread, or has taken it over.
    """
    takes_runtime = "runtime" in signature(node).parameters

    # Not `wraps`: LangGraph reads the parameters, which are those of `held`; the state's type, of the node.
    async def held(state: Any, runtime: Runtime[RunContext]) -> dict[str, Any]:
        with traced_step(name, state, runtime):
            async with holding(runtime, ends=ends):
                return await (node(state, runtime) if takes_runtime else node(state))

    held.__annotations__["state"] = node.__annotations__["state"]
    held.__name__ = held.__qualname__ = node.__name__
    return held


def traced_step(step: str, state: Any, runtime: Runtime[RunContext]) -> AbstractContextManager[object]:
    """Return the span of a step; outside of an agent of ours there is none."""
    part_of: Invocation | None = get_config().get("configurable", {}).get(KEY)
    if part_of is None:
        return nullcontext()
    turn, info = state.get("turn"), runtime.execution_info
    run_id = state.get("run_id") or (turn["run_id"] if turn and step != "receive" else "")
    if run_id:
        part_of.belongs_to(run_id, turn.get("trace") if turn else None)
    if turn and step != "receive":
        tell_question(part_of, turn["question"])
    number = state.get("step") or (turn["step"] if turn else 0)
    told: dict[str, Any] = {names.NUMBER: number}
    if info and info.node_attempt > 1:
        told[names.ATTEMPT] = info.node_attempt
    if info and info.thread_id:
        told |= {names.CHECKPOINT: info.checkpoint_id, names.CHECKPOINT_NS: info.checkpoint_ns}
    return step_span(part_of, step, told)
