"""What is handed to the workers of a step: the calls to run, the questions to ask."""

from langchain_core.messages import AIMessage

from core.state import AgentState, CallTask, ReviewTask
from guardrails.repetition import times_made
from memory.buffer import turn_start, unanswered_calls
from nodes.own_ids import duplicates_of


def call_tasks(state: AgentState) -> list[CallTask]:
    """Return a task for each call of the newest plan that has no result yet."""
    messages, turn = state["messages"], state["turn"]
    calls = unanswered_calls(messages)
    if not calls:
        return []
    at = max(index for index, message in enumerate(messages) if isinstance(message, AIMessage))
    plan = messages[at]
    duplicates = duplicates_of(plan) if isinstance(plan, AIMessage) else {}
    before = messages[turn_start(messages) : at]
    return [
        CallTask(
            call=call,
            step=turn["step"],
            elapsed_s=turn["elapsed_s"],
            run_id=turn["run_id"],
            earlier=times_made(before, call),
            duplicate_of=duplicates.get(call["id"] or ""),
        )
        for call in calls
    ]


def review_tasks(state: AgentState) -> list[ReviewTask]:
    """Return a task for each open question."""
    return [ReviewTask(question=one) for one in (state.get("questions") or {}).values() if one is not None]
