"""`execute`: runs one tool call. One worker for each call of the plan."""

from collections.abc import Sequence
from typing import Any

from langchain_core.messages import ToolMessage
from langgraph.runtime import Runtime

from core.context import RunContext, context_of
from core.state import CallTask
from memory.claims import current_claims
from nodes.judging import note_asked, note_call
from nodes.threads import Node, current_journal, namespace_of, thread_of
from observability.invocations import Part, calling_tool
from tools.breakers import current_breakers
from tools.progress import report_progress
from tools.records import Used
from tools.runtime import CallScope, ToolRuntime


def executing(tools: ToolRuntime) -> Node:
    """Return the node `execute`."""

    async def execute(state: CallTask, runtime: Runtime[RunContext]) -> dict[str, Any]:
        call = state["call"]
        report_progress(f"{call['name']} is running")
        mine = (await current_claims()).standing(thread_of(runtime), namespace_of(runtime))
        left = max(0.001, context_of(runtime).max_time_s - state["elapsed_s"])
        scope = CallScope(
            step=state["step"],
            time_limit_s=min(left, context_of(runtime).max_tool_time_s),
            thread_id=thread_of(runtime),
            run_id=state["run_id"],
            user=context_of(runtime).user,
            tenant=context_of(runtime).tenant,
            plan=mine.plan,
            earlier=state["earlier"],
            duplicate_of=state["duplicate_of"],
            siblings=tuple(state.get("siblings", ())),
            again=state.get("again", False),
            breakers=await current_breakers(),
            journal=await current_journal() if tools.needs_journal(call["name"]) else None,
        )
        with calling_tool() as parts:
            done = await tools.call(call, scope)
        if isinstance(done, ToolMessage):
            if parts:
                done.artifact["used"] = _used(parts)
            note_call(done.artifact, state["step"])
            return {"messages": [done]}
        note_asked(done, state["step"])
        return {"questions": {done["call_id"]: done}}

    return execute


def _used(parts: Sequence[Part]) -> Used:
    return {
        "input_tokens": sum(part.input_tokens for part in parts),
        "output_tokens": sum(part.output_tokens for part in parts),
    }
