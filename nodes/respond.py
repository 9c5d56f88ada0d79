"""`respond`: the only way out. Writes the answer, or the reason why there is none, and closes the run."""

from typing import Any

from langchain_core.messages import AIMessage
from langgraph.runtime import Runtime

from core.context import RunContext, context_of
from core.process import current_process
from core.state import AgentState, Answer
from core.structured import STRUCTURED_RESPONSE
from memory.buffer import turn_start
from memory.extractions import Extraction
from memory.rules import is_trial
from memory.run_ends import end_run, enqueue_turn
from memory.runs import charge_run
from nodes.attribution import cited_sources, sources_found
from nodes.contributions import contributions, undone
from nodes.judging import note_end
from nodes.learner import current_learner
from nodes.learning import Mind
from nodes.remembering import policy_of, turn_to_learn
from nodes.threads import Node, is_part_of_run, thread_of
from observability.invocations import Part, current_invocation, is_asked_in_tool
from observability.spans import tell_answer


def responding(mind: Mind | None = None, *, structured: bool = False) -> Node:
    """Return the node `respond`. Every run passes here, whatever happened before.

    Args:
        mind: what learns from the turn afterwards; None, nothing does.
        structured: the answer is the JSON text of an object, which goes out unchanged.
    """

    async def respond(state: AgentState, runtime: Runtime[RunContext]) -> dict[str, Any]:
        ended = await _ended(state, runtime, mind, structured=structured)
        if not structured:
            return ended
        answer: Answer = ended["answer"]
        return {**ended, STRUCTURED_RESPONSE: answer["text"] if answer["status"] == "answered" else None}

    return respond


async def _ended(
    state: AgentState, runtime: Runtime[RunContext], mind: Mind | None, *, structured: bool
) -> dict[str, Any]:
    stop = state.get("stop")
    message = _stopped(stop["message"]) if stop else _answered(state)
    in_turn = state["messages"][turn_start(state["messages"]) :]
    cited = [] if stop else cited_sources(message.text, sources_found(in_turn))
    if cited and not structured and not all(source in message.text for source in cited):
        message = message.model_copy(update={"content": f"{message.text}\n\nSources: {', '.join(cited)}"})
    contributed = contributions(in_turn)
    handed_back = stop is not None and stop["reason"] == "declined"
    if not structured and not handed_back and (missing := undone(contributed)):
        message = message.model_copy(update={"content": f"{message.text}\n\n{missing}"})
    answer = Answer(text=message.text, status=stop["reason"] if stop else "answered", sources=cited)
    if contributed:
        answer["contributions"] = contributed
    if (invocation := current_invocation()) is not None:
        invocation.outcome = answer["status"]
        tell_answer(invocation, answer["text"], answer["status"])
        if not context_of(runtime).depth:  # what was handed down is on the account of who did that
            took = state["turn"]
            part = Part(answer["text"], answer["status"], took["input_tokens"], took["output_tokens"])
            invocation.ended_as(part)
    note_end(answer, state["turn"]["step"], why=stop["message"] if stop else "")
    await _finished(state, answer, mind, runtime)
    said = {} if message is state["messages"][-1] else {"messages": [message]}  # else it is stored already
    return {**said, "answer": answer, "stop": None}


async def _finished(
    state: AgentState, answer: Answer, mind: Mind | None, runtime: Runtime[RunContext]
) -> None:
    """Record the end of a run of the agent's own, and have an answered turn learnt from once it is out."""
    database = await (await current_process()).database()
    learn = None
    is_asked_by_agent = context_of(runtime).depth > 0 or is_asked_in_tool()
    if answer["status"] == "answered" and not is_asked_by_agent and not is_trial():
        learn = await _to_learn(state, mind, runtime)
    if not is_part_of_run(runtime):
        is_known = await end_run(database, state["turn"], answer, learn=learn)
    else:
        if not is_asked_by_agent:
            await charge_run(database, state["turn"])
        is_known = learn is not None and await enqueue_turn(database, learn)
    if is_known and mind is not None and learn is not None:
        (await current_learner()).wake(mind)


async def _to_learn(state: AgentState, mind: Mind | None, runtime: Runtime[RunContext]) -> Extraction | None:
    policy = await policy_of(mind.memory) if mind is not None else None
    if mind is None or policy is None or not policy.learn:
        return None
    messages = state["messages"]
    place, start = (thread_of(runtime), mind.graph), turn_start(messages)
    return turn_to_learn(messages, start, turn=state["turn"], context=context_of(runtime), place=place)


def _stopped(text: str) -> AIMessage:
    return AIMessage(content=text)


def _answered(state: AgentState) -> AIMessage:
    last = state["messages"][-1]
    if not isinstance(last, AIMessage):
        raise TypeError(f"respond was reached after {type(last).__name__}; expected the answer of `plan`")
    return last
