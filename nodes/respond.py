"""`respond`: the only way out. Writes the answer, or the reason why there is none, and closes the run."""

from typing import Any

from langchain_core.messages import AIMessage
from langgraph.runtime import Runtime

from core.context import RunContext, context_of
from core.process import current_process
from core.state import AgentState, Answer
from core.structured import STRUCTURED_RESPONSE
from memory.buffer import turn_start
from memory.runs import finish_run
from nodes.attribution import cited_sources, sources_found
from nodes.contributions import contributions, undone


async def respond(state: AgentState, runtime: Runtime[RunContext]) -> dict[str, Any]:
    """End the turn. Every run passes here, whatever happened before."""
    return await _ended(state, context_of(runtime), structured=False)


async def respond_structured(state: AgentState, runtime: Runtime[RunContext]) -> dict[str, Any]:
    """End the turn of an agent whose answer is the JSON text of an object, which goes out unchanged."""
    ended = await _ended(state, context_of(runtime), structured=True)
    answer: Answer = ended["answer"]
    return {**ended, STRUCTURED_RESPONSE: answer["text"] if answer["status"] == "answered" else None}


async def _ended(state: AgentState, context: RunContext, *, structured: bool) -> dict[str, Any]:
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
    if not context.depth:  # else the run is that of the agent which was asked first
        await finish_run(await (await current_process()).database(), state["turn"], answer)
    said = {} if message is state["messages"][-1] else {"messages": [message]}  # else it is stored already
    return {**said, "answer": answer, "stop": None}


def _stopped(text: str) -> AIMessage:
    return AIMessage(content=text)


def _answered(state: AgentState) -> AIMessage:
    last = state["messages"][-1]
    if not isinstance(last, AIMessage):
        raise TypeError(f"respond was reached after {type(last).__name__}; expected the answer of `plan`")
    return last
