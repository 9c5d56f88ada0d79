"""`respond`: the only way out. Writes the answer, or the reason why there is none, and closes the run."""

from typing import Any

from langchain_core.messages import AIMessage

from core.process import current_process
from core.state import AgentState, Answer
from memory.buffer import turn_start
from nodes.attribution import cited_sources, sources_found
from observability.runs import finish_run


async def respond(state: AgentState) -> dict[str, Any]:
    """End the turn. Every run passes here, whatever happened before."""
    stop = state.get("stop")
    message = _stopped(stop["message"]) if stop else _answered(state)
    in_turn = state["messages"][turn_start(state["messages"]) :]
    cited = [] if stop else cited_sources(message.text, sources_found(in_turn))
    if cited and not all(source in message.text for source in cited):
        message = message.model_copy(update={"content": f"{message.text}\n\nSources: {', '.join(cited)}"})
    answer = Answer(text=message.text, status=stop["reason"] if stop else "answered", sources=cited)
    database = await (await current_process()).database()
    await finish_run(database, state["turn"], answer)
    return {"messages": [message], "answer": answer, "stop": None}


def _stopped(text: str) -> AIMessage:
    return AIMessage(content=text)


def _answered(state: AgentState) -> AIMessage:
    last = state["messages"][-1]
    if not isinstance(last, AIMessage):
        raise TypeError(f"respond was reached after {type(last).__name__}; expected the answer of `plan`")
    return last
