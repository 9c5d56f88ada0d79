"""A compiled graph whose invocations are traced, whoever calls it and however."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from typing import Any, Final, cast
from uuid import UUID

from langchain_core.callbacks import AsyncCallbackHandler
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import merge_configs
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.config import get_config
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import RunControl
from typing_extensions import override

from core.context import RunContext, field_of
from core.errors import InputError
from core.process import current_process
from core.state import AgentInput, AgentState
from core.text import storable_text
from memory.runs import mark_run
from memory.thread_tenants import check_tenant
from observability import names
from observability.invocations import KEY, Invocation
from observability.spans import invocation
from observability.tracing import current_tracing

_RUNTIME: Final = "__pregel_runtime"
"""Under which LangGraph carries the context of a graph, see its `langgraph.runtime.get_runtime`."""
_TASK: Final = "__pregel_task_id"
"""Under which LangGraph names the step that is running."""


class TracedGraph(CompiledStateGraph[AgentState, RunContext, AgentInput, AgentState]):
    """An agent. All ways to run a graph go through `astream`: there an invocation begins and ends."""

    async def astream(  # pyright: ignore[reportIncompatibleMethodOverride] - takes whatever LangGraph's takes
        self,
        input: Any,  # noqa: A002 - callers name it
        config: RunnableConfig | None = None,
        **options: Any,
    ) -> AsyncIterator[Any]:
        """Run the graph as LangGraph does, and write a span of it."""
        told = merge_configs(self.config, config) if self.config else config
        parent, whose = _parent(), _whose(told, options.get("context"))
        if isinstance(self.checkpointer, BaseCheckpointSaver):
            thread = _thread_of(self.name, whose)
            if parent is None:
                await check_tenant(thread, whose[names.TENANT])
        tracing = await current_tracing()
        with invocation(tracing.tracer, self.name, whose, decide=tracing.decisions.put, parent=parent) as one:
            one.tells_content = tracing.tells_content(whose[names.TENANT])
            carried = cast("RunnableConfig", {**(config or {})})
            carried["configurable"] = {**carried.get("configurable", {}), KEY: one}
            if tracing.is_native and parent is None:
                carried = merge_configs(carried, {"callbacks": [_LangSmithRun(one)]})
            async with nullcontext() if parent else self._called(one, input, carried, options):
                async for part in super().astream(input, carried, **options):
                    if _holds_interrupt(part):
                        one.interrupted()
                    yield part

    @asynccontextmanager
    async def _called(
        self, one: Invocation, given: Any, config: RunnableConfig, options: dict[str, Any]
    ) -> AsyncGenerator[None]:
        """Be around a call from outside; agents hold the thread and write down runs in steps.

        That the run waits is written down here once more: of two requests that wait, the decision of one has
        it running.
        """
        del given, options
        one.called_as = str(config.get("run_id") or "")
        try:
            yield
        finally:
            if one.outcome == "interrupted" and one.run_id:
                database = await (await current_process()).database()
                async with database.pool.connection() as connection:
                    await mark_run(connection, one.run_id, "interrupted")


class _LangSmithRun(AsyncCallbackHandler):
    """Notes in the span of an invocation under which id LangSmith's own client traces it."""

    run_inline = True

    def __init__(self, one: Invocation) -> None:
        self._one: Invocation | None = one

    @override
    async def on_chain_start(
        self, serialized: dict[str, Any], inputs: Any, *, run_id: UUID, **more: Any
    ) -> None:
        if self._one is not None:  # the first to begin is the graph
            self._one.span.set_attribute(names.LANGSMITH_RUN, str(run_id))
            self._one = None


def traced(graph: CompiledStateGraph[AgentState, RunContext, AgentInput, AgentState]) -> TracedGraph:
    """Return the same graph, traced."""
    return TracedGraph(**graph.__dict__)


def _parent() -> Invocation | None:
    """Return the invocation of the graph whose step calls this one."""
    return _around().get(KEY)


def is_in_untraced() -> bool:
    """Tell whether a step of a graph is running that writes no span, nor does one around it."""
    return _TASK in _around() and _parent() is None  # the server's calls carry a runtime too


def control_around() -> RunControl:
    """Return what the steps of the graph around share; outside of one, what is to be shared."""
    return getattr(_around().get(_RUNTIME), "control", None) or RunControl()


def _around() -> dict[str, Any]:
    """Return what the graph around is configured by; empty outside of one."""
    try:
        return get_config().get("configurable", {})
    except RuntimeError:
        return {}


def _whose(config: RunnableConfig | None, context: Any) -> dict[str, str]:
    """Return who asks, and on which thread, as the caller says it, or else the graph around."""
    default, around = RunContext(), _around()
    thread = (config or {}).get("configurable", {}).get("thread_id") or around.get("thread_id")
    if context is None:  # LangGraph has the steps of a graph within another one take that one's context
        context = getattr(around.get(_RUNTIME), "context", None)
    whose = {
        names.USER: storable_text(str(field_of(context, "user", default.user) or default.user)),
        names.TENANT: storable_text(str(field_of(context, "tenant", default.tenant) or default.tenant)),
    }
    thread = storable_text(str(thread or ""))
    return whose | ({names.CONVERSATION: thread} if thread else {})


def _thread_of(name: str, whose: dict[str, str]) -> str:
    if names.CONVERSATION not in whose:
        raise InputError(
            f"The graph {name!r} keeps what is said on a thread, and the call names none. Name one: "
            'config={"configurable": {"thread_id": "..."}}.'
        )
    return whose[names.CONVERSATION]


def _holds_interrupt(part: Any) -> bool:
    """Tell whether a part of a stream, behind a namespace and a mode or not, says that a person is asked."""
    last = part[-1] if isinstance(part, tuple) and part else part
    return isinstance(last, dict) and "__interrupt__" in last
