import asyncio
import operator
from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any

import pytest
from langgraph.channels.delta import DeltaChannel
from langgraph.graph import START, StateGraph
from psycopg import AsyncConnection
from psycopg.sql import SQL, Identifier
from pydantic import SecretStr
from typing_extensions import TypedDict

from core.process import opened_process
from core.settings import Settings
from memory.checkpoints import postgres_checkpointer
from memory.saver import Saver
from memory.server_checkpoints import server_checkpointer

EVERY = 4


def joined(state: list[int], writes: Sequence[list[int]]) -> list[int]:
    return [*state, *(one for write in writes for one in write)]


class Numbers(TypedDict):
    delta: Annotated[list[int], DeltaChannel(joined, snapshot_frequency=EVERY)]
    whole: Annotated[list[int], operator.add]


def graph_on(saver: Saver) -> Any:
    def count(state: Numbers) -> dict[str, Any]:
        number = len(state["whole"])
        return {"delta": [number], "whole": [number]}

    builder = StateGraph(Numbers)
    builder.add_node("count", count)
    builder.add_node("again", count)
    builder.add_edge(START, "count")
    builder.add_edge("count", "again")
    return builder.compile(checkpointer=saver)


@pytest.fixture
async def saver(postgres_url: str) -> AsyncIterator[Saver]:
    async with opened_process(Settings(database_url=SecretStr(postgres_url))):
        yield await postgres_checkpointer()


def on(thread_id: str, **more: Any) -> Any:
    return {"configurable": {"thread_id": thread_id}, **more}


async def turns(graph: Any, thread_id: str, many: int) -> Any:
    for turn in range(many):
        await graph.ainvoke({"delta": [-1], "whole": [-1]}, on(thread_id, metadata={"run_id": f"run {turn}"}))
    return await values(graph, thread_id)


async def values(graph: Any, thread_id: str) -> Any:
    return (await graph.aget_state(on(thread_id))).values


async def rows(url: str) -> list[int]:
    async with await AsyncConnection.connect(url) as connection:
        tables = ("checkpoints", "checkpoint_blobs", "checkpoint_writes")
        found = [
            await connection.execute(SQL("select count(*) from {}").format(Identifier(table)))
            for table in tables
        ]
        return [row[0] for cursor in found for row in await cursor.fetchall()]


@pytest.mark.parametrize("many", range(2, 7))
async def test_pruning_keeps_the_ancestors_that_deltas_are_rebuilt_from(
    saver: Saver, postgres_url: str, many: int
) -> None:
    graph = graph_on(saver)
    before = await turns(graph, "t", many)
    size = await rows(postgres_url)
    assert before["delta"] == before["whole"]
    await saver.aprune(["t"])
    assert await values(graph, "t") == before
    assert sum(await rows(postgres_url)) < sum(size)
    after = await turns(graph, "t", 2)
    assert after["delta"] == after["whole"]
    assert len(after["whole"]) == len(before["whole"]) + 6


async def test_pruning_keeps_as_many_of_the_newest_as_is_asked_for(saver: Saver) -> None:
    graph = graph_on(saver)
    await turns(graph, "t", 4)
    history = [one.values async for one in graph.aget_state_history(on("t"))]
    await saver.aprune(["t"], keep=3)
    assert [one.values async for one in graph.aget_state_history(on("t"), limit=3)] == history[:3]


async def test_deleting_the_last_run_brings_its_thread_back_to_where_it_stood(saver: Saver) -> None:
    graph = graph_on(saver)
    before = await turns(graph, "t", 3)
    await graph.ainvoke({"delta": [-1], "whole": [-1]}, on("t", metadata={"run_id": "last"}))
    await saver.adelete_for_runs(["last"])
    assert await values(graph, "t") == before


async def test_deleting_an_early_run_takes_no_deltas_from_the_later_ones(saver: Saver) -> None:
    graph = graph_on(saver)
    before = await turns(graph, "t", 3)
    await saver.adelete_for_runs(["run 1"])
    assert await values(graph, "t") == before


async def test_a_copied_thread_lives_on_by_itself(saver: Saver) -> None:
    graph = graph_on(saver)
    before = await turns(graph, "t", 3)
    await saver.acopy_thread("t", "copy")
    await saver.adelete_thread("t")
    assert await values(graph, "copy") == before
    assert await values(graph, "t") == {}


async def test_a_thread_is_copied_to_an_id_that_is_free_only(saver: Saver) -> None:
    graph = graph_on(saver)
    before = await turns(graph, "t", 1)
    other = await turns(graph, "other", 2)
    for source, target, told in (
        ("t", "t", "'t' would be copied onto itself"),
        ("t", "other", "'other' has checkpoints already"),
        ("gone", "new", "there is no thread 'gone'"),
    ):
        with pytest.raises(ValueError, match=told):
            await saver.acopy_thread(source, target)
    assert [await values(graph, one) for one in ("t", "other", "new")] == [before, other, {}]


async def test_a_thread_of_a_server_that_nobody_asked_in_yet_is_copied_as_one(postgres_url: str) -> None:
    async with opened_process(Settings(database_url=SecretStr(postgres_url))):
        saver = await server_checkpointer()
        await saver.acopy_thread("empty", "copy")
        assert await values(graph_on(saver), "copy") == {}


async def test_set_up_at_the_same_moment_by_many_is_done_once(empty_postgres_url: str) -> None:
    async def set_up() -> None:
        async with opened_process(Settings(database_url=SecretStr(empty_postgres_url))):
            await postgres_checkpointer()

    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(asyncio.to_thread(asyncio.run, set_up()))
    async with await AsyncConnection.connect(empty_postgres_url) as connection:
        found = await connection.execute("select count(*), max(v) from checkpoint_migrations")
        assert await found.fetchone() == (len(Saver.MIGRATIONS), len(Saver.MIGRATIONS) - 1)
