"""What is handed to the workers of a step: the calls to run, the questions to ask."""

from collections.abc import Container, Sequence

from langchain_core.messages import AIMessage, ToolMessage

from core.state import AgentState, CallTask, ReviewTask, Turn
from guardrails.repetition import is_again, times_made
from memory.buffer import turn_start, unanswered_calls
from nodes.assignments import Standing, attached_to, longest_s, shares_of, standing_of, tokens_of
from nodes.own_ids import duplicates_of


def call_tasks(state: AgentState, agents: Container[str] = ()) -> list[CallTask]:
    """Return a task for each call of the newest plan that has no result yet and waits for no other.

    Args:
        state: of the agent.
        agents: names of the calls that hand work to other agents.
    """
    messages, turn = state["messages"], state["turn"]
    calls = unanswered_calls(messages)
    if not calls:
        return []
    at, plan = [(index, one) for index, one in enumerate(messages) if isinstance(one, AIMessage)][-1]
    results = {one.tool_call_id: one for one in messages[at:] if isinstance(one, ToolMessage)}
    handed_on = [call for call in plan.tool_calls if call["name"] in agents]
    shares = shares_of([call for call in calls if call["name"] in agents])
    start, duplicates = turn_start(messages), duplicates_of(plan)
    used, elapsed_s = _used(turn, list(results.values()))
    siblings = [one["id"] or "" for one in plan.tool_calls]
    tasks: list[CallTask] = []
    for call in calls:
        own = call["name"] not in agents
        stands = Standing(ready=True) if own else standing_of(call, handed_on, results)
        if stands.ready:
            task = CallTask(
                call=call,
                step=turn["step"],
                elapsed_s=elapsed_s,
                used_tokens=used,
                share=shares.get(call["id"] or "", 0.0),
                found=dict(stands.found),
                blocked=stands.refused,
                attached=[] if own else attached_to(messages[start]),
                run_id=turn["run_id"],
                earlier=times_made(messages[start:at], call),
                duplicate_of=duplicates.get(call["id"] or ""),
                siblings=siblings,
                again=is_again(call, plan.tool_calls),
            )
            tasks.append(task)
    return tasks


def _used(turn: Turn, results: Sequence[ToolMessage]) -> tuple[int, float]:
    """Return the tokens and the seconds of a turn, with what a plan has used that is not charged yet."""
    tokens = turn["input_tokens"] + turn["output_tokens"] + sum(tokens_of(results))
    return tokens, turn["elapsed_s"] + longest_s(results)


def review_tasks(state: AgentState) -> list[ReviewTask]:
    """Return a task for each open question."""
    asked = (state.get("questions") or {}).values()
    return [ReviewTask(question=one, turn=state["turn"]) for one in asked if one is not None]
