"""`execute`: runs one tool call. One worker for each call of the plan."""

from collections.abc import Awaitable, Callable
from typing import Any

from langgraph.runtime import Runtime

from core.context import RunContext, context_of
from core.state import CallTask
from tools.progress import report_progress
from tools.runtime import ToolRuntime


def executing(tools: ToolRuntime) -> Callable[..., Awaitable[dict[str, Any]]]:
    """Return the node `execute`."""

    async def execute(state: CallTask, runtime: Runtime[RunContext]) -> dict[str, Any]:
        call = state["call"]
        report_progress(f"{call['name']} is running")
        left = max(0.001, context_of(runtime).max_time_s - state["elapsed_s"])
        limit = min(left, context_of(runtime).max_tool_time_s)
        return {"messages": [await tools.call(call, step=state["step"], time_limit_s=limit)]}

    return execute
