"""Goes on with a thread whose last run was cut off, or waits for a person."""

from collections.abc import Mapping
from typing import Any, Literal
from uuid import UUID

from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.types import Command

from core.context import RunContext
from core.errors import InputError
from core.process import current_process
from graphs.single import Agent
from memory.runs import latest_run


async def resume_thread(
    graph: Agent,
    thread_id: str,
    *,
    answers: Mapping[str, Any] | None = None,
    durability: Literal["sync", "async"] = "sync",
) -> dict[str, Any]:
    """Finish the last run of a thread and return the thread's state, as `ainvoke` does.

    A run whose checkpoints were lost is asked anew under its own id, so that it finds what it has done. A
    thread whose last run is complete is left alone.

    Args:
        graph: compiled with a checkpointer.
        thread_id: the thread.
        answers: to open questions, by the id of their interrupt.
        durability: of the checkpoints, as LangGraph has it.

    Raises:
        InputError: nothing is known of the thread.
        ThreadBusyError: another process is working on it.
    """
    config: RunnableConfig = {"configurable": {"thread_id": thread_id}}
    row = await latest_run(await (await current_process()).database(), thread_id)
    state = await graph.aget_state(config)
    if row is None and not state.tasks:
        raise InputError(f"There is no run of a thread {thread_id!r} to go on with.")
    context = RunContext(**row.context) if row is not None else RunContext()  # pyright: ignore[reportArgumentType] - fields by name
    if row is not None:
        config["run_id"] = _as_uuid(row.run_id)
    if state.tasks:
        # Not `state.next`: that is empty too when the last step is done but its checkpoint is not written.
        following: Any = Command(resume=dict(answers)) if answers else None
        return await graph.ainvoke(following, config, context=context, durability=durability)
    if row is None or row.finished_at is not None:
        return state.values
    asked: Any = {"messages": [HumanMessage(row.question or "")]}
    return await graph.ainvoke(asked, config, context=context, durability=durability)


def _as_uuid(run_id: str) -> UUID | None:
    try:
        return UUID(run_id)
    except ValueError:
        return None
