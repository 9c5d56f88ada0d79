"""`observe`: looks at the results of a step, records them and judges whether the turn may go on."""

from collections.abc import Sequence
from typing import Any

from langchain_core.messages import AnyMessage, ToolMessage
from langgraph.runtime import Runtime

from core.context import RunContext, context_of
from core.process import current_process
from core.state import AgentState, Stop, Turn
from guardrails.limits import spent
from guardrails.repetition import repeated
from memory.buffer import turn_start, unanswered_calls
from nodes.assignments import longest_s, tokens_of
from nodes.threads import thread_of
from observability.calls import log_calls
from tools.declining import DECLINE


async def observe(state: AgentState, runtime: Runtime[RunContext]) -> dict[str, Any]:
    """Record the calls of this step; stop the turn where it is over a limit or repeats itself.

    A step with calls that wait for a person is not over: it is judged when all have a result.
    """
    turn = state["turn"]
    results = results_of_step(state["messages"], turn["step"])
    process = await current_process()
    await log_calls(
        await process.database(),
        thread_id=thread_of(runtime),
        run_id=turn["run_id"],
        calls=[(message.artifact, message.text) for message in results],
        content=process.settings.content_for(context_of(runtime).tenant),
    )
    if unanswered_calls(state["messages"]):
        return {}
    tokens_in, tokens_out = tokens_of(results)
    charged: Turn = {
        **turn,
        "elapsed_s": round(turn["elapsed_s"] + longest_s(results), 3),
        "input_tokens": turn["input_tokens"] + tokens_in,
        "output_tokens": turn["output_tokens"] + tokens_out,
    }
    in_turn = state["messages"][turn_start(state["messages"]) :]
    stop = stopped(results) or repeated(in_turn) or spent(charged, context_of(runtime))
    return {"turn": charged, "stop": stop}


def results_of_step(messages: Sequence[AnyMessage], step: int) -> list[ToolMessage]:
    """Return the tool results at the end of the conversation that belong to `step`."""
    found: list[ToolMessage] = []
    for message in reversed(messages):
        if not isinstance(message, ToolMessage):
            break
        if message.artifact and message.artifact["step"] == step:
            found.append(message)
    return found[::-1]


def stopped(results: Sequence[ToolMessage]) -> Stop | None:
    """Return why one of these calls has ended the turn: a person stopped it, or it was declined."""
    for message in results:
        if message.artifact["outcome"] == "stopped":
            return Stop(reason="denied", message=f"I stopped: {message.text}")
        if message.artifact["tool"] == DECLINE and message.artifact["outcome"] == "ok":
            return Stop(reason="declined", message=message.text)
    return None
