"""A `plan` that goes on from a recorded plan where a killed run left one, and else asks the model."""

from typing import Any

from langchain_core.messages import AIMessage
from langgraph.runtime import Runtime

from core.context import RunContext
from core.process import current_process
from core.state import AgentState
from memory.buffer import turn_start
from memory.claims import current_claims
from memory.plans import plan_record, recorded_ahead, turn_id_of
from nodes.threads import Node, namespace_of, place_of, thread_of


def recovering(plan: Node) -> Node:
    """Return the node `plan` of an agent whose tools have effects.

    It looks for a recorded plan only where somebody else may have worked on the turn. A new plan is kept for
    the journal, which records it with the first intent.
    """

    async def plan_or_recover(state: AgentState, runtime: Runtime[RunContext]) -> dict[str, Any]:
        claims = await current_claims()
        mine = claims.standing(thread_of(runtime), namespace_of(runtime))
        mine.plan = None
        in_turn = state["messages"][turn_start(state["messages"]) :]
        place = claims.visits.named(
            thread_of(runtime),
            runtime.control,
            place=place_of(runtime),
            namespace=namespace_of(runtime),
            turn_id=turn_id_of(in_turn[0]),
        )
        if not mine.fresh:
            database = await (await current_process()).database()
            ahead = await recorded_ahead(database, place, in_turn, state["turn"])
            mine.fresh = True  # what was ahead has been looked up, and nobody else can add to it
            if ahead is not None:
                messages, turn = ahead
                return {"messages": messages, "turn": turn}
        update = await plan(state, runtime)
        message = (update.get("messages") or [None])[0]
        if thread_of(runtime) and isinstance(message, AIMessage) and message.tool_calls:
            mine.plan = plan_record(place, in_turn, message, update["turn"])
        return update

    return plan_or_recover
