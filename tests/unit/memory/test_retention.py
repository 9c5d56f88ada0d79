"""Retention: what goes, what stays, and that what stays reads as before."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import chain
from typing import Annotated, Any

import pytest
from langchain_core.messages import AIMessage, AnyMessage
from langgraph.channels.delta import DeltaChannel
from langgraph.graph import START, StateGraph
from pydantic import SecretStr
from typing_extensions import TypedDict

from core.context import RunContext
from core.errors import ConfigurationError, ThreadBusyError
from core.message_log import MessageLog
from core.process import current_process, opened_process
from core.settings import Settings
from memory import retention
from memory.checkpoints import postgres_checkpointer
from memory.claims import current_claims
from memory.retention import Retention, Swept, sweep, swept_regularly
from memory.runs import begin_run
from memory.saver import Saver

MONTH = Retention(idle=timedelta(days=30))


class Conversation(TypedDict):
    messages: Annotated[list[AnyMessage], MessageLog()]
    turn: str
    stop: str
    answer: str


class Notebook(TypedDict):
    """The state of somebody else's graph: its messages are added, one behind the other."""

    messages: Annotated[list[str], DeltaChannel(lambda kept, writes: [*kept, *chain(*writes)], list)]


@pytest.fixture
async def saver(postgres_url: str) -> AsyncIterator[Saver]:
    async with opened_process(Settings(database_url=SecretStr(postgres_url))):
        yield await postgres_checkpointer()


def on(thread: str) -> Any:
    return {"configurable": {"thread_id": thread}}


def graph_on(saver: Saver) -> Any:
    async def speak(state: Conversation) -> dict[str, Any]:
        spoken = AIMessage(f"Answer {len(state['messages'])}.")
        return {"messages": [spoken], "turn": "1", "stop": "", "answer": spoken.text}

    builder = StateGraph(Conversation)
    builder.add_node("speak", speak)
    builder.add_edge(START, "speak")
    return builder.compile(checkpointer=saver)


async def talk(saver: Saver, thread: str, turns: int, *, finished: bool = True) -> list[str]:
    for turn in range(turns):
        await graph_on(saver).ainvoke({"messages": [("user", f"Question {turn}.")]}, on(thread))
    database = await (await current_process()).database()
    run_id = f"run of {thread}"
    await begin_run(
        database, thread_id=thread, run_id=run_id, graph="single", question="", context=RunContext()
    )
    if finished:
        await execute("update boring.run set finished_at = now() where thread_id = %s", thread)
    return await texts(saver, thread)


async def texts(saver: Saver, thread: str) -> list[str]:
    state = await graph_on(saver).aget_state(on(thread))
    return [one.text for one in state.values.get("messages", [])]


async def execute(statement: Any, *values: Any) -> list[Any]:
    database = await (await current_process()).database()
    async with database.pool.connection() as connection:
        found = await connection.execute(statement, values)
        return await found.fetchall() if found.description else []


async def age(thread: str, days: int) -> None:
    await execute(
        "update checkpoints set checkpoint = jsonb_set(checkpoint, '{ts}', to_jsonb("
        "((checkpoint ->> 'ts')::timestamptz - make_interval(days => %s))::text)) where thread_id = %s",
        days,
        thread,
    )


async def count(table: str, thread: str) -> int:
    statement = f"select count(*) as many from {table} where thread_id = %s"  # noqa: S608 - names of tables
    return (await execute(statement, thread))[0]["many"]


async def test_a_thread_that_nobody_used_for_long_goes_and_others_stay(saver: Saver) -> None:
    await talk(saver, "old", 2)
    said = await talk(saver, "new", 2)
    await age("old", 31)
    swept = await sweep(MONTH)
    assert (swept.deleted, swept.checkpoints) == (1, 6)
    assert swept.freed_bytes > 0
    for table in ("checkpoints", "checkpoint_blobs", "checkpoint_writes"):
        assert await count(table, "old") == 0
    assert await texts(saver, "new") == said
    assert await sweep(MONTH) == Swept()


async def test_a_thread_whose_run_is_not_over_stays(saver: Saver) -> None:
    said = await talk(saver, "waiting", 1, finished=False)
    await age("waiting", 31)
    assert await sweep(MONTH) == Swept(waiting=1)
    assert await texts(saver, "waiting") == said


async def test_a_thread_that_is_being_used_stays(saver: Saver) -> None:
    said = await talk(saver, "used", 1)
    await age("used", 31)
    claims = await current_claims()
    async with claims.working("used", object()):
        assert await sweep(MONTH) == Swept(busy=1)
    assert await texts(saver, "used") == said


async def test_nothing_of_this_process_runs_on_a_thread_that_goes(
    saver: Saver, monkeypatch: pytest.MonkeyPatch
) -> None:
    await talk(saver, "old", 1)
    await age("old", 31)
    sized, claims = retention.thread_size, await current_claims()

    async def use(cursor: Any, thread: str) -> tuple[int, int]:
        with pytest.raises(ThreadBusyError):
            async with claims.working(thread, object()):
                pass
        return await sized(cursor, thread)

    monkeypatch.setattr(retention, "thread_size", use)
    assert (await sweep(MONTH)).deleted == 1


@pytest.mark.parametrize("keep", [1, 2, 7])
async def test_of_a_long_thread_the_newest_checkpoints_stay_and_read_as_before(
    saver: Saver, keep: int
) -> None:
    said = await talk(saver, "long", 20)
    before = [one async for one in graph_on(saver).aget_state_history(on("long"), limit=keep)]
    kept = Retention(checkpoints=keep)
    foreseen = await sweep(kept, dry_run=True)
    assert await count("checkpoints", "long") == 60
    assert await sweep(kept) == foreseen
    assert (foreseen.pruned, foreseen.checkpoints) == (1, 60 - keep)
    after = [one async for one in graph_on(saver).aget_state_history(on("long"))]
    assert [one.values for one in after] == [one.values for one in before]
    more = await graph_on(saver).ainvoke({"messages": [("user", "Once more.")]}, on("long"))
    assert [one.text for one in more["messages"]] == [*said, "Once more.", "Answer 41."]


async def test_a_copy_of_a_thread_is_pruned_as_the_first_one_is(saver: Saver) -> None:
    said = await talk(saver, "first", 20)
    await saver.acopy_thread("first", "copy")
    await sweep(Retention(checkpoints=3))
    assert [await count("checkpoints", one) for one in ("first", "copy")] == [3, 3]
    assert await texts(saver, "copy") == said


async def test_forks_of_a_pruned_thread_read_as_before(saver: Saver) -> None:
    await talk(saver, "forked", 6)
    graph = graph_on(saver)
    states = [one async for one in graph.aget_state_history(on("forked"))]
    await graph.ainvoke({"messages": [("user", "Otherwise.")]}, states[3].config)
    said = await texts(saver, "forked")
    before = [one.values async for one in graph.aget_state_history(on("forked"), limit=5)]
    swept = await sweep(Retention(checkpoints=5))
    assert swept.pruned == 1
    assert [one.values async for one in graph.aget_state_history(on("forked"), limit=5)] == before
    assert await texts(saver, "forked") == said


async def test_a_graph_of_others_reads_as_before(saver: Saver) -> None:
    async def note(state: Notebook) -> dict[str, Any]:
        return {"messages": [f"Note {len(state['messages'])}."]}

    builder = StateGraph(Notebook)
    builder.add_node("note", note)
    builder.add_edge(START, "note")
    graph = builder.compile(checkpointer=saver)
    for number in range(5):
        await graph.ainvoke({"messages": [f"Word {number}."]}, on("t"))
    await talk(saver, "t", 0)
    before = (await graph.aget_state(on("t"))).values
    assert len(before["messages"]) == 10
    await sweep(Retention(checkpoints=2))
    assert (await graph.aget_state(on("t"))).values == before


async def test_a_dry_run_changes_nothing(saver: Saver) -> None:
    said = await talk(saver, "old", 2)
    await age("old", 31)
    foreseen = await sweep(MONTH, dry_run=True)
    assert foreseen.deleted == 1
    assert await texts(saver, "old") == said
    assert await sweep(MONTH) == foreseen


@pytest.mark.parametrize("wrong", [{"idle": timedelta()}, {"checkpoints": 0}])
def test_a_retention_that_would_keep_nothing_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="expected"):
        Retention(**wrong)


async def test_a_server_sweeps_while_it_runs(saver: Saver) -> None:
    await talk(saver, "old", 1)
    await age("old", 31)
    async with swept_regularly(MONTH, every_s=3600):
        async with asyncio.timeout(20):
            while await count("checkpoints", "old"):  # noqa: ASYNC110 - its event is in the database
                await asyncio.sleep(0.01)
