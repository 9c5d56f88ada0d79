"""What happens while a user is forgotten brings nothing of them back; what is refused changes nothing."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from langgraph.store.base import PutOp

from core.context import RunContext
from core.errors import ThreadBusyError
from core.forgetting_gate import pass_gate
from core.models import given_fallbacks
from core.process import Process, current_process
from evals.scripted_model import Reply, ToolCall
from graphs.single import create_agent, model_source
from memory.claims import current_claims
from memory.extractions import Extraction, Said, Wanted, enqueue
from memory.facts import user_namespace
from memory.forgetting import erase, traces
from memory.items import Origin
from memory.runs import begin_run
from memory.store import MemoryStore
from memory.store_building import index_namespace
from nodes.learning import Mind, learn_next
from observability.tracing import current_tracing
from tests.graphs.remembering import gives, learnt, remembering, rows, turn
from tools.contract import contract
from tools.forgetting import forget_user

ADA = RunContext(user="ada", tenant="acme")
ASKED: Any = {"messages": [("user", "I like tea.")]}
DRINK = (1, "drink", "The user likes tea.")


class Waiting:
    """A tool that ends when it is let go on."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()

    async def wait(self) -> str:
        """Wait."""
        self.begun.set()
        await self.go_on.wait()
        return "waited"


@pytest.fixture
async def process(postgres_url: str, tmp_path: Path) -> AsyncIterator[Process]:
    async with remembering(postgres_url, tmp_path, memory_exact_rows=100) as opened:
        yield opened


async def somebody_waits_at_the_gate() -> None:
    async with asyncio.timeout(10):
        while True:
            if await rows("select from pg_locks where locktype = 'advisory' and not granted"):
                return
            await asyncio.sleep(0.01)


async def left() -> list[dict[str, Any]]:
    return await rows(
        "select run_id from boring.extraction union all select id::text from boring.memory_item"
        " union all select run_id from boring.run"
    )


async def test_a_run_without_a_thread_that_ends_after_its_user_is_forgotten_is_not_learnt_from(
    process: Process, speaking: Any
) -> None:
    del process  # is open
    llm = await speaking([Reply(tool_calls=(ToolCall("wait", {}),)), "Done.", gives(DRINK)])
    waiting = Waiting()
    agent = create_agent(llm=llm, tools=[contract(waiting.wait, effect="read")], memory=True)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(agent.ainvoke(ASKED, context=ADA))
        await waiting.begun.wait()
        assert (await forget_user("acme", "ada", by="ops")).is_whole
        waiting.go_on.set()
    assert running.result()["answer"]["text"] == "Done."
    await learnt()
    assert len(llm.metadata["scripted"].requests) == 2
    assert await left() == []
    assert await rows("select run_id from boring.tool_call union all select run_id from boring.effect") == []


async def test_a_run_that_ends_while_its_user_is_being_forgotten_is_not_learnt_from(
    process: Process, speaking: Any
) -> None:
    llm = await speaking([Reply(tool_calls=(ToolCall("wait", {}),)), "Done.", gives(DRINK)])
    waiting = Waiting()
    agent = create_agent(llm=llm, tools=[contract(waiting.wait, effect="read")], memory=True)
    database = await process.database()
    async with asyncio.TaskGroup() as group:
        group.create_task(agent.ainvoke(ASKED, context=ADA))
        await waiting.begun.wait()
        async with database.pool.connection() as connection, connection.transaction():
            await pass_gate(connection, "acme", "ada", alone=True)
            of = await traces(connection, "acme", "ada")
            await connection.execute("delete from boring.extraction")  # the part that goes first
            waiting.go_on.set()
            await somebody_waits_at_the_gate()
            await erase(connection, of)
    await learnt()
    assert await left() == []


async def test_a_turn_whose_run_is_gone_is_neither_put_into_the_queue_nor_learnt_from(
    process: Process, speaking: Any
) -> None:
    llm = await speaking([gives(DRINK)])
    mind, database = Mind("", model_source(llm), given_fallbacks()), await process.database()
    turn_of = Extraction("gone", "", "acme", "ada", "single", [Said("user", "I like tea.")])
    async with database.pool.connection() as connection:
        await enqueue(connection, turn_of)
    assert await left() == []
    await rows(
        "insert into boring.extraction (run_id, thread_id, tenant, user_id, graph, messages) values"
        " ('gone', '', 'acme', 'ada', 'single', '[]') returning run_id"
    )
    assert await learn_next(mind, Wanted()) is None
    assert llm.metadata["scripted"].requests == []


async def test_what_is_learnt_while_its_user_is_being_forgotten_is_not_kept(
    saver: Any, speaking: Any
) -> None:
    asked, go_on = asyncio.Event(), asyncio.Event()
    llm = await speaking(["Noted.", gives(DRINK)])
    database = await (await current_process()).database()

    async def opening() -> Any:
        """Return the model for the second time only once forgetting has the gate."""
        if await rows("select * from boring.extraction where worker is not null"):
            asked.set()
            await go_on.wait()
        return await model_source(llm)()

    await turn(create_agent(llm=opening, checkpointer=saver, memory=True), "I like tea.", context=ADA)
    await asked.wait()
    async with database.pool.connection() as connection, connection.transaction():
        await pass_gate(connection, "acme", "ada", alone=True)
        of = await traces(connection, "acme", "ada")
        go_on.set()
        await somebody_waits_at_the_gate()
        await erase(connection, of)
    await learnt()
    assert len(llm.metadata["scripted"].requests) == 2
    assert await left() == []


async def test_a_refused_forgetting_leaves_the_indexes_of_the_user(process: Process) -> None:
    notes = (*user_namespace("ada"), "notes")
    ops = [PutOp(notes, str(n), {"text": f"note {n}"}) for n in range(102)]
    await MemoryStore(origin=Origin("acme", "ada")).abatch(ops)
    assert await index_namespace("acme", notes)
    before = await indexes()
    database = await process.database()
    await begin_run(database, thread_id="t", run_id="r", graph="g", question="x", context=ADA)
    async with (await current_claims()).held("t"):
        with pytest.raises(ThreadBusyError):
            await forget_user("acme", "ada", by="ops")
        assert await indexes() == before
    assert (await forget_user("acme", "ada", by="ops")).is_whole
    assert await indexes() != before


async def indexes() -> list[dict[str, Any]]:
    return await rows("select indexname from pg_indexes where indexname ~ '^memory_(scope|words)_[0-9]'")


async def spans_of(user: str) -> int:
    (row,) = await rows("select count(*) as n from boring.span where user_id = %s", user)
    return row["n"]


async def test_spans_that_arrive_while_the_user_is_forgotten_are_not_kept(
    saver: Any, speaking: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rows("select boring.make_span_day((now() at time zone 'UTC')::date)")
    await turn(create_agent(llm=await speaking(["Hello."]), checkpointer=saver), "Hi", context=ADA)
    flushing: list[asyncio.Task[None]] = []

    async def slow(connection: Any, of: Any) -> Any:
        erased = await erase(connection, of)
        tracing = await current_tracing()
        flushing.append(asyncio.create_task(tracing.flush()))
        await asyncio.wait(flushing, timeout=0.5)  # what waits for nobody has arrived by then
        return erased

    monkeypatch.setattr("tools.forgetting.erase", slow)
    done = await forget_user("acme", "ada", by="ops")
    await asyncio.wait(flushing)
    assert (done.is_whole, await spans_of("ada")) == (True, 0)


async def test_a_call_that_fails_before_its_first_step_leaves_a_span_of_nobody(
    saver: Any, speaking: Any
) -> None:
    agent: Any = create_agent(llm=await speaking(["Hello."]), checkpointer=saver)
    with pytest.raises(NotImplementedError):
        await agent.ainvoke({"messages": 5}, {"configurable": {"thread_id": "secret"}}, context=ADA)
    await (await current_tracing()).flush()
    found = await rows("select status, user_id, thread_id from boring.span")
    assert found == [{"status": "error", "user_id": "", "thread_id": None}]
