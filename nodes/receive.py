"""`receive`: takes up the user's message and resets what lives for one turn."""

import uuid
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from langchain_core.messages import HumanMessage
from langgraph.runtime import Runtime

from core.context import RunContext, context_of
from core.process import current_process
from core.protocols import Model, ModelSource
from core.state import AgentState, Note, Turn
from core.text import storable_text
from guardrails.screening import refused
from memory.claims import current_claims
from memory.plans import turn_id_of
from memory.runs import receive_turn
from nodes.earlier_calls import results_of_earlier_calls
from nodes.folding import Folded, folded
from nodes.seeing import Frame
from nodes.threads import Node, is_part_of_run, namespace_of, thread_of
from observability.invocations import current_invocation
from observability.noting import note_decision

Noting = Callable[[Turn, Runtime[RunContext]], Awaitable[Sequence[Note]]]
"""Returns what the model is to be told in a turn, for the question that the turn holds."""
_NOTHING = Frame()


def receiving(
    model: ModelSource, *, graph: str, noting: Sequence[Noting] = (), beside: Frame = _NOTHING
) -> Node:
    """Return the node `receive`.

    Args:
        model: its profile says how long a question may be.
        graph: the name under which the run is recorded.
        noting: find what the model is told in the turn beside the conversation.
        beside: what stands in each of its requests, which leaves the conversation less room.
    """

    async def receive(state: AgentState, runtime: Runtime[RunContext]) -> dict[str, Any]:
        question = _question(state)
        opened = await model()
        run_id = _run_id(runtime)
        invocation = current_invocation()
        if invocation is not None:
            invocation.belongs_to(run_id, invocation.name)
        await _recorded(state, runtime, graph=graph, run_id=run_id, question=question)
        turn = _begun(run_id, question[: opened.profile.max_input_chars])
        if invocation is not None:
            turn["trace"] = invocation.name
        stop = refused(question, max_chars=opened.profile.max_input_chars)
        found = await results_of_earlier_calls(state.get("messages") or [])
        notes = [] if stop else [note for find in noting for note in await find(turn, runtime)]
        update: dict[str, Any] = {"turn": turn, "stop": stop, "answer": None}
        if not stop:
            update |= await _folding(
                opened, state, turn, beside.overhead(notes, state.get("summary")), runtime
            )
        if found:
            update["messages"] = found
        if notes or state.get("notes"):  # what stays as it is takes no room in the checkpoint
            update["notes"] = notes
        return update | ({"questions": None} if state.get("questions") else {})

    return receive


async def _recorded(
    state: AgentState, runtime: Runtime[RunContext], *, graph: str, run_id: str, question: str
) -> None:
    """Write down that the turn begins, unless it is a part of a run that is on record."""
    mine = (await current_claims()).standing(thread_of(runtime), namespace_of(runtime))
    mine.plan = None
    if not is_part_of_run(runtime):
        mine.fresh = await receive_turn(
            await (await current_process()).database(),
            thread_id=thread_of(runtime),
            run_id=run_id,
            graph=graph,
            question=question,
            context=context_of(runtime),
            turn_id=_turn_id(state),
        )


async def _folding(
    model: Model, state: AgentState, turn: Turn, overhead: int, runtime: Runtime[RunContext]
) -> dict[str, Any]:
    """Return the summary of what outgrows the model, and the turn with what that took."""
    fold = await folded(model, state, overhead=overhead, limits=context_of(runtime))
    if fold is None:
        return {}
    if fold.summary:
        first, last = fold.summary["first"], fold.summary["last"]
        note_decision(
            "folded", f"{first} to {last}", step=0, by=model.profile.name, reason="the room of the model"
        )
    return {"turn": _charged(turn, fold)} | ({"summary": fold.summary} if fold.summary else {})


def _begun(run_id: str, question: str) -> Turn:
    return Turn(
        run_id=run_id,
        question=question,
        step=0,
        input_tokens=0,
        output_tokens=0,
        elapsed_s=0.0,
        started_at=datetime.now(UTC).isoformat(),
    )


def _charged(turn: Turn, fold: Folded) -> Turn:
    return {
        **turn,
        "input_tokens": turn["input_tokens"] + fold.input_tokens,
        "output_tokens": turn["output_tokens"] + fold.output_tokens,
        "elapsed_s": round(turn["elapsed_s"] + fold.seconds, 3),
    }


def _run_id(runtime: Runtime[RunContext]) -> str:
    """Return the run's id: given by who hands work on, by the caller, or the same if `receive` runs again."""
    info, given, invocation = runtime.execution_info, context_of(runtime), current_invocation()
    if given.depth and given.run_id:
        return given.run_id
    if invocation is not None and invocation.parent is not None and invocation.run_id:
        return invocation.run_id
    if info is None:
        return str(uuid.uuid4())
    return info.run_id or str(uuid.uuid5(uuid.NAMESPACE_OID, f"{info.thread_id}|{info.checkpoint_id}"))


def _question(state: AgentState) -> str:
    messages = state.get("messages") or []
    last = messages[-1] if messages else None
    return storable_text(last.text) if isinstance(last, HumanMessage) else ""


def _turn_id(state: AgentState) -> str:
    messages = state.get("messages") or []
    return turn_id_of(messages[-1]) if messages else ""
