"""The record of a recorded graph's run says how that call went, whatever stands on its thread."""

import asyncio
from collections.abc import AsyncIterator
from contextvars import Context
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, interrupt
from pydantic import SecretStr

from app.feedback_cases import rated_runs
from core.context import RunContext
from core.errors import InputError, ThreadBusyError
from core.process import Process, current_process, opened_process
from core.settings import Settings
from core.state import AgentState
from graphs.recorded import RUN_KEY, recorded
from memory.checkpoints import postgres_checkpointer
from observability.feedback import NewFeedback, WantedFeedback, store_feedback
from tools.forgetting import forget_user

ON_THREAD: RunnableConfig = {"configurable": {"thread_id": "t"}}
ASKED: Any = {"messages": [("user", "Go.")]}


@pytest.fixture(autouse=True)
async def process(postgres_url: str, tmp_path: Path) -> AsyncIterator[Process]:
    settings = Settings(database_url=SecretStr(postgres_url), data_dir=tmp_path, cache_dir=tmp_path)
    async with opened_process(settings) as process:
        yield process


async def statuses() -> list[str]:
    async with (await (await current_process()).database()).pool.connection() as connection:
        found = await connection.execute("select status from boring.run order by started_at")
        return [row["status"] for row in await found.fetchall()]


def step(_: Any) -> dict[str, Any]:
    return {"messages": [AIMessage("Done.")]}


def of_one_step(node: Any, state: Any = MessagesState) -> Any:
    graph = StateGraph(state).add_node("step", node).add_edge(START, "step")
    return recorded(graph.compile(name="own", checkpointer=InMemorySaver()))


def not_kept(node: Any) -> Any:
    """Return a recorded graph without a checkpointer."""
    return recorded(
        StateGraph(MessagesState).add_node("step", node).add_edge(START, "step").compile(name="own")
    )


async def test_a_call_from_an_older_checkpoint_that_ends_is_finished() -> None:
    graph = of_one_step(step)
    await graph.ainvoke(ASKED, ON_THREAD)
    (older,) = [one async for one in graph.aget_state_history(ON_THREAD) if one.next == ("step",)]
    await graph.ainvoke(None, older.config)
    assert await statuses() == ["finished", "finished"]


@pytest.mark.parametrize("given", [None, Command(resume="Yes.")])
async def test_a_call_that_goes_on_where_all_is_done_is_no_run(given: Any) -> None:
    graph = of_one_step(step)
    await graph.ainvoke(ASKED, ON_THREAD)
    await graph.ainvoke(given, ON_THREAD)
    assert await statuses() == ["finished"]


async def test_a_run_ends_though_an_earlier_one_s_turn_stands_in_the_state() -> None:
    turn: Any = {"run_id": "earlier", "input_tokens": 1, "output_tokens": 1, "elapsed_s": 1.0}
    answer: Any = {"text": "Earlier.", "status": "answered", "sources": []}
    graph = of_one_step(step, AgentState)
    await graph.ainvoke({**ASKED, "turn": turn, "answer": answer}, ON_THREAD)
    assert await statuses() == ["finished"]


async def test_a_run_that_goes_on_is_running_meanwhile() -> None:
    seen: list[str] = []

    async def asking(_: Any) -> dict[str, Any]:
        said = interrupt("Shall it?")
        seen.extend(await statuses())
        return {"messages": [AIMessage(said)]}

    graph = of_one_step(asking)
    await graph.ainvoke(ASKED, ON_THREAD)
    assert await statuses() == ["interrupted"]
    await graph.ainvoke(Command(resume="Yes."), ON_THREAD)
    assert (seen, await statuses()) == (["running"], ["finished"])


async def test_metadata_that_name_another_call_s_run_leave_that_alone() -> None:
    waiting = of_one_step(lambda _: interrupt("Shall it?"))
    await waiting.ainvoke(ASKED, {**ON_THREAD, "run_id": UUID(int=7)})
    config: Any = {"configurable": {"thread_id": "other"}, "metadata": {RUN_KEY: str(UUID(int=7))}}
    await of_one_step(step).ainvoke(ASKED, config)
    assert await statuses() == ["interrupted", "finished"]


async def test_a_thread_is_held_while_a_call_runs_also_in_steps_that_know_nothing_of_runs() -> None:
    refused: list[str] = []

    async def forgetting(_: Any) -> dict[str, Any]:
        with pytest.raises(ThreadBusyError) as told:
            await forget_user("local", "uma", by="ops")
        refused.append(str(told.value))
        with pytest.raises(ThreadBusyError):
            await asyncio.create_task(graph.ainvoke(ASKED, ON_THREAD), context=Context())
        return step(_)

    graph = of_one_step(forgetting)
    await graph.ainvoke(ASKED, ON_THREAD, context=RunContext(user="uma"))
    assert (len(refused), await statuses()) == (1, ["finished"])
    assert (await forget_user("local", "uma", by="ops")).is_whole


class Own(MessagesState):
    answer: str
    turn: int


@pytest.mark.parametrize(
    ("state", "says", "answer"),
    [(Own, {"answer": "Yes.", "turn": 3}, "Yes."), (MessagesState, step(0), "Done.")],
)
async def test_an_export_of_what_was_said_of_a_run_tells_its_answer(
    state: Any, says: dict[str, Any], answer: str
) -> None:
    graph = StateGraph(state).add_node("step", RunnableLambda(lambda _: says)).add_edge(START, "step")
    saver = await postgres_checkpointer()
    run_id, thread = str(UUID(int=7)), "rated"
    config: Any = {"configurable": {"thread_id": thread}, "run_id": UUID(int=7)}
    await recorded(graph.compile(name="own", checkpointer=saver)).ainvoke(ASKED, config)
    database = await (await current_process()).database()
    await store_feedback(database, "local", NewFeedback(run_id, score=1.0, by="ann"))
    (rated,) = await rated_runs(database, "local", WantedFeedback(), limit=1)
    assert rated.answer == answer


def asking(state: MessagesState) -> dict[str, Any]:
    del state
    return {"messages": [AIMessage(interrupt("Shall it?"))]}


def failing(_: Any) -> dict[str, Any]:
    raise RuntimeError("broken")


async def test_a_call_that_fails_and_can_not_be_gone_on_with_has_failed() -> None:
    with pytest.raises(RuntimeError, match="broken"):
        await not_kept(failing).ainvoke(ASKED)
    assert await statuses() == ["failed"]


@pytest.mark.parametrize("config", [None, {"configurable": {}}])
async def test_a_call_that_names_no_thread_is_refused_where_one_is_kept(config: Any) -> None:
    with pytest.raises(InputError, match=r"names none\. Name one"):
        await of_one_step(step).ainvoke(ASKED, config)
    assert await statuses() == []


async def test_a_thread_that_a_graph_is_configured_with_is_that_of_its_calls() -> None:
    await of_one_step(step).with_config(ON_THREAD).ainvoke(ASKED)
    async with (await (await current_process()).database()).pool.connection() as connection:
        found = await (await connection.execute("select thread_id, status from boring.run")).fetchall()
    assert [tuple(row.values()) for row in found] == [("t", "finished")]


async def test_a_run_that_is_gone_on_with_the_wrong_way_waits_as_before() -> None:
    graph = StateGraph(MessagesState).add_node("one", asking).add_node("two", asking)
    graph = graph.add_edge(START, "one").add_edge(START, "two")
    own = recorded(graph.compile(name="own", checkpointer=InMemorySaver()))
    await own.ainvoke(ASKED, ON_THREAD)
    with pytest.raises(RuntimeError, match="must specify the interrupt id"):
        await own.ainvoke(Command(resume="Yes."), ON_THREAD)
    assert await statuses() == ["interrupted"]


async def test_a_call_that_keeps_nothing_and_is_read_half_has_failed() -> None:
    stream = not_kept(step).astream(ASKED)
    await anext(aiter(stream))
    await stream.aclose()
    assert await statuses() == ["failed"]


async def test_a_call_that_keeps_nothing_and_asks_has_failed() -> None:
    assert "__interrupt__" in await not_kept(asking).ainvoke(ASKED)
    assert await statuses() == ["failed"]


async def test_within_a_graph_that_is_not_recorded_it_is_as_if_it_were_not_either(
    caplog: pytest.LogCaptureFixture,
) -> None:
    outer = StateGraph(MessagesState).add_node("inner", not_kept(asking)).add_edge(START, "inner")
    graph = outer.compile(checkpointer=InMemorySaver())
    assert "__interrupt__" in await graph.ainvoke(ASKED, ON_THREAD)
    ended = await graph.ainvoke(Command(resume="Yes."), ON_THREAD)
    assert (ended["messages"][-1].text, await statuses()) == ("Yes.", [])
    (told,) = [one.getMessage() for one in caplog.records if "is recorded" in one.getMessage()]
    assert "'own' is recorded, but a graph calls it that is not" in told
