"""Drives one turn of a graph and tells, event by event, what happens."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterable, Mapping
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from langgraph.types import Command

from app.events import Ended, Event, Step, Token, ToolProgress, Waiting
from app.questions import asked
from core.context import RunContext
from graphs.ends import end_of, is_turn
from graphs.recorded import RUN_KEY, RecordedGraph

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig

    from app.questions import Asked
    from graphs.single import Agent


INTERRUPT = "__interrupt__"
"""Under which LangGraph tells of interrupts among the updates of nodes."""
METADATA = "__metadata__"
"""Under which it tells, beside a node's update, that the node was not run: the update was there already."""


async def turn_events(  # noqa: PLR0913 - named at the call
    graph: Agent,
    question: str | None,
    *,
    thread_id: str,
    run_id: str,
    context: RunContext,
    answers: Mapping[str, Any] | None = None,
) -> AsyncGenerator[Event]:
    """Run a turn and yield its events; the last one is `Ended` or `Waiting`.

    Args:
        graph: compiled with a checkpointer.
        question: the user's message; None goes on with a run that was cut off.
        thread_id: the conversation.
        run_id: under which the run is recorded.
        context: what the caller sets for the run.
        answers: to open questions, by the id of their interrupt.
    """
    asked_or_answered: Any = Command(resume=dict(answers)) if answers else None
    if question is not None:
        asked_or_answered = {"messages": [HumanMessage(question)]}
    config: RunnableConfig = {
        "configurable": {"thread_id": thread_id},
        "run_id": UUID(run_id),
        "metadata": {RUN_KEY: run_id},
    }
    stream = graph.astream(
        asked_or_answered,
        config,
        context=context,
        stream_mode=["updates", "messages", "custom"],
        subgraphs=True,
        durability="sync",
    )
    began = time.monotonic()
    async for event in _events(stream, goes_on=question is None):
        yield event
    async for event in last_turn(graph, thread_id, elapsed_s=time.monotonic() - began):
        yield event


async def _events(stream: AsyncIterable[Any], *, goes_on: bool) -> AsyncGenerator[Event]:
    started = time.monotonic()
    begun: dict[tuple[str, ...], float] = {}
    under_way: set[tuple[str, ...]] = set()
    async for namespace, mode, data in stream:
        if mode == "updates":
            if namespace in under_way or not (goes_on and _was_there(data)):
                under_way.add(namespace)
                for name, update in _updates(data):
                    seconds = time.monotonic() - begun.get(namespace, started)
                    yield Step(name, _what(update), seconds, _agents(namespace))
            begun[namespace] = time.monotonic()
        elif (event := _in_between(mode, data, inside=bool(namespace))) is not None:
            yield event
        begun.setdefault(namespace, time.monotonic())


def _was_there(data: Mapping[str, Any]) -> bool:
    """Return whether an update was there before its node would have run.

    A graph that goes on begins with those of the steps that an earlier call has finished beside the one that
    was cut off or has asked. Later ones, and all where a turn begins, are steps of this call that the graph
    answers from a cache of its own.
    """
    return bool(data.get(METADATA, {}).get("cached"))


def _updates(data: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(name, update) for name, update in data.items() if name not in {INTERRUPT, METADATA}]


def _agents(namespace: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of the agents that lead to a step, without the ids of their tasks."""
    return tuple(part.partition(":")[0] for part in namespace)


async def open_questions(graph: Agent, thread_id: str) -> list[Asked]:
    """Return what a thread's run waits for."""
    state = await graph.aget_state({"configurable": {"thread_id": thread_id}})
    return [asked(interrupt) for interrupt in state.interrupts]


def _in_between(mode: str, data: Any, *, inside: bool) -> Event | None:
    """Return what happens within a step: a piece of the answer, or the progress of a tool.

    What an agent says `inside` another is not the answer yet.
    """
    if mode == "custom":
        return ToolProgress(str(data.get("progress", data) if isinstance(data, Mapping) else data))
    if inside:
        return None
    message, metadata = data
    is_answer = isinstance(message, AIMessageChunk) and metadata.get("langgraph_node") == "plan"
    return Token(message.text) if is_answer and message.text else None


async def last_turn(graph: Agent, thread_id: str, *, elapsed_s: float) -> AsyncGenerator[Event]:
    """Yield the end of a thread's last turn, as its checkpoint has it.

    Args:
        graph: compiled with a checkpointer.
        thread_id: the conversation.
        elapsed_s: how long the turn took, for a graph that does not note it itself.

    Raises:
        NoAnswerError: the graph's state tells no answer.
    """
    state = await graph.aget_state({"configurable": {"thread_id": thread_id}})
    noted = str((state.metadata or {}).get(RUN_KEY, ""))
    if state.interrupts:
        turn = state.values.get("turn") if isinstance(state.values, Mapping) else None
        questions = tuple(asked(interrupt) for interrupt in state.interrupts)
        yield Waiting(questions, turn["run_id"] if is_turn(turn) else noted)
        return
    run_id = noted if isinstance(graph, RecordedGraph) else ""  # an agent's state tells its own
    yield Ended(*end_of(state.values, graph=graph.name, run_id=run_id, elapsed_s=elapsed_s))


def _what(update: Any) -> str:
    """Return in a few words what a step has written, of a graph of the user's own too."""
    written = cast("Mapping[str, Any]", update) if isinstance(update, Mapping) else {}
    if isinstance(stop := written.get("stop"), Mapping) and "reason" in stop:
        return f"stop: {stop['reason']}"
    messages = written.get("messages")
    last = messages[-1] if isinstance(messages, list) and messages else messages
    if isinstance(last, AIMessage) and last.tool_calls:
        return ", ".join(_call(call["name"], call["args"]) for call in last.tool_calls)
    if isinstance(last, ToolMessage):
        return f"{last.name}: {_first_words(last.text)}"
    return ""


def _call(name: str, arguments: Mapping[str, Any]) -> str:
    return f"{name}({', '.join(f'{key}={value!r}' for key, value in arguments.items())})"


def _first_words(text: str, most: int = 60) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"
