"""Copies of a user's threads are forgotten too; what is another user's stays."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from core.context import RunContext
from core.process import Process
from graphs.single import create_agent
from memory.facts import user_namespace
from memory.retention import Retention, sweep
from memory.store import MemoryStore
from tests.graphs.remembering import remembering, rows, turn
from tools.forgetting import forget_user

ADA = RunContext(user="ada", tenant="acme")
BOB = RunContext(user="bob", tenant="acme")


@pytest.fixture
async def process(postgres_url: str, tmp_path: Path) -> AsyncIterator[Process]:
    async with remembering(postgres_url, tmp_path) as opened:
        yield opened


async def copied_threads() -> set[str]:
    found = await rows("select distinct thread_id from checkpoints")
    return {row["thread_id"] for row in found}


@pytest.mark.usefixtures("process")
async def test_a_copy_is_forgotten_whose_first_thread_went_on_and_was_pruned(
    saver: Any, speaking: Any
) -> None:
    agent = create_agent(llm=await speaking(["One.", "Two."]), checkpointer=saver)
    await turn(agent, "Mine.", thread="first", context=ADA)
    await saver.acopy_thread("first", "second")
    await saver.acopy_thread("second", "third")
    await turn(agent, "More.", thread="first", context=ADA)
    await sweep(Retention(checkpoints=1))
    done = await forget_user("acme", "ada", by="ops")
    assert (done.is_whole, done.threads, await copied_threads()) == (True, 3, set())
    assert await rows("select * from boring.thread_copy") == []


@pytest.mark.usefixtures("process")
async def test_a_copy_is_forgotten_whose_first_thread_was_deleted(saver: Any, speaking: Any) -> None:
    agent = create_agent(llm=await speaking(["One.", "Two."]), checkpointer=saver)
    await turn(agent, "Mine.", thread="first", context=ADA)
    await saver.acopy_thread("first", "second")
    await saver.adelete_thread("first")
    await turn(agent, "And mine.", thread="second", context=BOB)
    done = await forget_user("acme", "ada", by="ops")
    assert (done.is_whole, done.shared, await copied_threads()) == (True, ("second",), set())


@pytest.mark.usefixtures("process")
async def test_who_takes_the_name_of_a_deleted_copy_is_somebody_else(saver: Any, speaking: Any) -> None:
    agent = create_agent(llm=await speaking(["One.", "Two."]), checkpointer=saver)
    await turn(agent, "Mine.", thread="first", context=ADA)
    await saver.acopy_thread("first", "second")
    await saver.adelete_thread("second")
    await turn(agent, "Bob's.", thread="second", context=BOB)
    done = await forget_user("acme", "ada", by="ops")
    assert (done.is_whole, await copied_threads()) == (True, {"second"})


@pytest.mark.usefixtures("process")
async def test_what_nobody_in_particular_stores_below_a_user_is_that_user_s() -> None:
    store, bea = MemoryStore(), user_namespace("bea.%2E@example.com")
    await store.aput((*bea, "notes"), "drink", {"text": "tea"})
    await store.aput(("company", "faq"), "k", {"text": "open at 9"})
    await store.aput(("users",), "k", {"text": "of no user"})
    await forget_user("local", "local", by="ops")
    assert [item.namespace for item in await store.asearch(())] == [(*bea, "notes")]
    await forget_user("local", "bea.%2E@example.com", by="ops")
    assert await store.asearch(()) == []
    assert await rows("select * from boring.memory_item") == []
