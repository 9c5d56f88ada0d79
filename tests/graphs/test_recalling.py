"""What is known of a user is told to the model in other threads, to that user only; it fails no turn."""

import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from core.context import RunContext
from core.process import Process
from evals.scripted_model import Reply, ToolCall
from graphs.hierarchy import Team, create_hierarchy
from graphs.single import create_agent
from memory.facts import remember
from memory.items import Origin
from nodes.remembering import MemoryPolicy
from observability.tracing import current_tracing
from tests.graphs.remembering import ADA, BOB, asked, gives, learnt, remembering, rows, turn

OF_ADA = Origin("acme", "ada", trusted=True)
ONLY_RECALL = MemoryPolicy(learn=False)


@pytest.fixture
async def process(postgres_url: str, tmp_path: Path) -> AsyncIterator[Process]:
    async with remembering(postgres_url, tmp_path) as opened:
        yield opened


async def test_what_was_said_in_one_thread_is_known_in_another(saver: Any, speaking: Any) -> None:
    llm = await speaking(["Noted.", gives((1, "drink", "The user likes green tea.")), "Green tea!", gives()])
    agent = create_agent(llm=llm, checkpointer=saver, memory=True)
    await turn(agent, "I like green tea.", thread="one")
    await learnt()
    result = await turn(agent, "What do I like to drink?", thread="two")
    assert "- The user likes green tea.\n\nThe request: What do I like to drink?" in asked(llm, 2)
    assert result["messages"][0].text == "What do I like to drink?"
    ((note),) = result.get("notes") or []
    await (await current_tracing()).flush()
    (decision,) = await rows("select * from boring.decision where kind = 'memory_used'")
    assert (decision["kind"], decision["choice"], decision["thread_id"]) == ("memory_used", note["id"], "two")
    assert (decision["run_id"], decision["candidates"]) == (result["turn"]["run_id"], [note["id"]])


@pytest.mark.parametrize("other", [BOB, RunContext(user="ada", tenant="other")])
async def test_what_is_known_of_a_user_is_told_to_no_other_user_and_no_other_tenant(
    saver: Any, speaking: Any, other: RunContext
) -> None:
    await remember("The user likes green tea.", subject="drink", origin=OF_ADA)
    llm = await speaking(["I don't know."])
    agent = create_agent(llm=llm, checkpointer=saver, memory=ONLY_RECALL)
    result = await turn(agent, "What do I like to drink?", context=other)
    assert "tea" not in asked(llm, 0)
    assert (result.get("notes") or []) == []
    await (await current_tracing()).flush()
    assert await rows("select * from boring.decision where kind = 'memory_used'") == []


async def test_only_as_many_are_told_as_the_bounds_allow(saver: Any, speaking: Any) -> None:
    for number in range(9):
        await remember(f"The user likes tea number {number}. " + "x" * 90, subject=f"{number}", origin=OF_ADA)
    for policy, told in (
        (MemoryPolicy(learn=False, max_recalled=2), 2),
        (MemoryPolicy(learn=False, max_tokens=100), 2),
        (MemoryPolicy(learn=False, max_tokens=20), 0),
        (MemoryPolicy(recall=False, learn=False), 0),
    ):
        agent = create_agent(llm=await speaking(["Tea."]), checkpointer=saver, memory=policy)
        result = await turn(agent, "Which tea do I like?", thread=str(policy))
        assert len(result.get("notes") or []) == told


async def test_a_memory_that_fails_is_left_out_with_a_warning(
    process: Process, saver: Any, speaking: Any, caplog: pytest.LogCaptureFixture
) -> None:
    await remember("The user likes green tea.", subject="drink", origin=OF_ADA)
    database = await process.database()
    async with database.pool.connection() as connection:
        await connection.execute("alter table boring.memory_item rename to lost_item")
    agent = create_agent(llm=await speaking(["Hello."]), checkpointer=saver, memory=ONLY_RECALL)
    with caplog.at_level(logging.WARNING):
        result = await turn(agent, "What do I drink?")
    assert (result["answer"]["text"], (result.get("notes") or [])) == ("Hello.", [])
    assert "goes on without what is known of the user" in caplog.text


async def test_a_memory_that_can_t_be_reached_is_left_out(
    postgres_url: str, tmp_path: Path, speaking: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with remembering(postgres_url, tmp_path) as process:
        away = process.settings.model_copy(update={"embedding_base_url": "http://127.0.0.1:9/v1"})
        process.settings = away
        agent = create_agent(llm=await speaking(["Hello."]), memory=ONLY_RECALL)
        with caplog.at_level(logging.WARNING):
            result = await turn(agent, "What do I drink?")
    assert result["answer"]["text"] == "Hello."
    assert "can't be reached" in caplog.text


async def test_only_the_agent_that_was_asked_recalls(saver: Any, speaking: Any) -> None:
    await remember("The user likes green tea.", subject="drink", origin=OF_ADA)
    task = Reply(tool_calls=(ToolCall("team", {"task": "one", "goal": "Order my favourite drink"}),))
    llm, inner = await speaking([task, "Done."]), await speaking(["Ordered."])
    team = Team("team", "orders", create_agent(llm=inner, name="inner", memory=True))
    supervisor = create_hierarchy(llm=llm, teams=[team], checkpointer=saver, memory=ONLY_RECALL)
    await turn(supervisor, "Order my favourite drink.", context=ADA)
    assert "- The user likes green tea." in asked(llm, 0)
    assert "tea" not in asked(inner, 0)
