"""A conversation's channel: what it stores, and that writes merge as LangGraph's do."""

from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AIMessageChunk, AnyMessage, HumanMessage, RemoveMessage
from langgraph.graph import START, StateGraph
from langgraph.graph.message import REMOVE_ALL_MESSAGES, add_messages
from pydantic import SecretStr
from typing_extensions import TypedDict

from core.message_log import LEAST_UPDATES, MessageLog, logged
from core.process import opened_process
from core.settings import Settings
from memory.checkpoints import postgres_checkpointer
from memory.saver import Saver


class Logged(TypedDict):
    messages: Annotated[list[AnyMessage], MessageLog()]


class Stock(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]


def graph_of(state: type[Any], saver: Saver) -> Any:
    async def speak(state: Any) -> dict[str, Any]:
        return {"messages": [AIMessage(f"Answer {len(state['messages'])}.")]}

    builder = StateGraph(state)
    builder.add_node("speak", speak)
    builder.add_edge(START, "speak")
    return builder.compile(checkpointer=saver)


@pytest.fixture
async def saver(postgres_url: str) -> AsyncIterator[Saver]:
    async with opened_process(Settings(database_url=SecretStr(postgres_url))):
        yield await postgres_checkpointer()


def on(thread: str) -> Any:
    return {"configurable": {"thread_id": thread}}


async def texts(graph: Any, thread: str) -> list[str]:
    return [one.text for one in (await graph.aget_state(on(thread))).values["messages"]]


async def test_a_long_conversation_is_read_as_it_was_written_and_every_message_has_one_id(
    saver: Saver,
) -> None:
    graph = graph_of(Logged, saver)
    for turn in range(LEAST_UPDATES + 5):
        await graph.ainvoke({"messages": [("user", f"Question {turn}.")]}, on("long"))
    first, second = [(await graph.aget_state(on("long"))).values["messages"] for _ in range(2)]
    assert [one.text for one in first[:3]] == ["Question 0.", "Answer 1.", "Question 1."]
    assert len(first) == 2 * (LEAST_UPDATES + 5) == len({one.id for one in first} - {None})
    assert [one.id for one in first] == [one.id for one in second]


async def test_stored_whole_only_when_it_has_doubled(saver: Saver) -> None:
    graph = graph_of(Logged, saver)
    for turn in range(160):
        await graph.ainvoke({"messages": [("user", f"Question {turn}.")]}, on("long"))
    stored = "select count(*) as many from checkpoint_blobs where thread_id = 'long' and channel = 'messages'"
    async with saver._pool.connection() as connection:  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        row = await (await connection.execute(stored)).fetchone()
    assert row
    assert 2 <= row["many"] <= 5  # at some 50, 100 and 200 updates; 160 if each turn were stored whole


async def test_a_thread_written_with_add_messages_goes_on(saver: Saver) -> None:
    for turn in range(3):
        await graph_of(Stock, saver).ainvoke({"messages": [("user", f"Question {turn}.")]}, on("old"))
    graph = graph_of(Logged, saver)
    await graph.ainvoke({"messages": [("user", "Question 3.")]}, on("old"))
    assert await texts(graph, "old") == [
        text for n in range(4) for text in (f"Question {n}.", f"Answer {2 * n + 1}.")
    ]


async def test_messages_are_removed_one_by_one_and_all_at_once(saver: Saver) -> None:
    graph = graph_of(Logged, saver)
    await graph.ainvoke({"messages": [HumanMessage("Hello.", id="first")]}, on("removed"))
    await graph.aupdate_state(on("removed"), {"messages": [RemoveMessage("first")]})
    assert await texts(graph, "removed") == ["Answer 1."]
    everything = [RemoveMessage(REMOVE_ALL_MESSAGES), HumanMessage("Anew.")]
    await graph.aupdate_state(on("removed"), {"messages": everything})
    assert await texts(graph, "removed") == ["Anew."]
    with pytest.raises(ValueError, match="not in the conversation: 'first'"):
        await graph.aupdate_state(on("removed"), {"messages": [RemoveMessage("first")]})


def log_after(writes: Sequence[Sequence[list[AnyMessage]]], *, replayed: bool) -> list[AnyMessage]:
    if replayed:
        return logged(None, [("task", "messages", write) for step in writes for write in step])
    log = MessageLog().from_checkpoint([])
    for step in writes:
        log.update(step)
    return log.get()


MESSAGES = st.builds(
    lambda number, text: AIMessage(text, id=str(number)), st.integers(0, 5), st.sampled_from("abc")
)
EVERYTHING = st.just(RemoveMessage(REMOVE_ALL_MESSAGES))


WRITE = st.lists(st.one_of(MESSAGES, MESSAGES, EVERYTHING), max_size=4, unique_by=lambda one: one.id)
THERE = [AIMessage("old", id="a"), AIMessage("other", id="b")]


@pytest.mark.parametrize("replayed", [True, False])
@pytest.mark.parametrize(
    "write",
    [
        [RemoveMessage("a"), AIMessage("new", id="a")],
        [AIMessage("new", id="a"), RemoveMessage("a")],
        [{"type": "remove", "id": "a", "content": ""}],
        [{"type": "remove", "id": REMOVE_ALL_MESSAGES, "content": ""}, AIMessage("anew", id="c")],
        [AIMessageChunk(content="in parts", id="c"), AIMessage("new", id="b")],
        [{"role": "user", "content": "Hello.", "id": "c"}],
    ],
)
def test_what_is_written_merges_as_with_add_messages(write: list[Any], *, replayed: bool) -> None:
    merged = log_after([[list[Any](THERE)], [write]], replayed=replayed)
    assert merged == add_messages(list(THERE), list(write))
    assert not any(isinstance(one, AIMessageChunk) for one in merged)


@given(st.lists(WRITE, min_size=1, max_size=6))
def test_writes_replayed_at_once_give_what_they_gave_one_by_one(writes: list[list[Any]]) -> None:
    one_by_one = log_after([[write] for write in writes], replayed=False)
    assert log_after([writes], replayed=True) == one_by_one
    merged: Any = []
    for write in writes:
        merged = add_messages(merged, write)
    assert merged == one_by_one
