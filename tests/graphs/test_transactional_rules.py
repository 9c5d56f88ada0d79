"""A transactional tool writes over its connection; whatever else it does to it keeps nothing, and says so."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from psycopg import AsyncConnection
from psycopg.errors import DivisionByZero
from psycopg.rows import DictRow

from core.context import RunContext
from core.process import Process
from evals.scripted_model import Reply, ToolCall
from graphs.single import create_agent
from tools.contract import Retry, contract
from tools.injection import Transaction
from tools.transactions import RULE

CONFIG: Any = {"configurable": {"thread_id": "t"}}
WRITE = "insert into public.note values ('x')"
Misuse = Callable[[AsyncConnection[DictRow]], Awaitable[Any]]


@pytest.fixture
async def notes(process: Process) -> Callable[[], Awaitable[int]]:
    database = await process.database()

    async def count() -> int:
        async with database.pool.connection() as connection:
            row = await (await connection.execute("select count(*) as n from public.note")).fetchone()
        return row["n"] if row is not None else -1

    async with database.pool.connection() as connection:
        await connection.execute("create table public.note (text text)")
    return count


async def commits(lent: AsyncConnection[DictRow]) -> None:
    await lent.commit()


async def rolls_back(lent: AsyncConnection[DictRow]) -> None:
    await lent.execute("  ROLLBACK; -- all of it")


async def commits_in_sql(lent: AsyncConnection[DictRow]) -> None:
    await lent.execute("commit")


async def closes(lent: AsyncConnection[DictRow]) -> None:
    await lent.close()


async def closes_what_is_below(lent: AsyncConnection[DictRow]) -> None:
    await lent.cursor().connection.close()


async def sets_autocommit(lent: AsyncConnection[DictRow]) -> None:
    await lent.set_autocommit(True)


async def sets_a_row_factory(lent: AsyncConnection[DictRow]) -> None:
    lent.row_factory = lent.row_factory


async def rolls_back_by_a_cursor(lent: AsyncConnection[DictRow]) -> None:
    await lent.cursor().execute("rollback")


async def hides_a_failure(lent: AsyncConnection[DictRow]) -> None:
    with suppress(DivisionByZero):
        await lent.execute("select 1/0")


MISUSES = [
    commits,
    rolls_back,
    commits_in_sql,
    closes,
    closes_what_is_below,
    sets_autocommit,
    sets_a_row_factory,
    rolls_back_by_a_cursor,
    hides_a_failure,
]


async def outcome(saver: Any, speaking: Any, misuse: Misuse) -> tuple[str, str, int]:
    made = 0

    async def write(transaction: Transaction) -> str:
        """Write."""
        nonlocal made
        made += 1
        assert isinstance(transaction, AsyncConnection)
        await transaction.execute(WRITE)
        await misuse(transaction)
        return "written"

    llm = await speaking([Reply(tool_calls=(ToolCall("write"),)), "Done."])
    tool = contract(write, effect="transactional", retry=Retry(3, 0, 0))
    agent = create_agent(llm=llm, tools=[tool], checkpointer=saver)
    given: Any = {"messages": [HumanMessage("Go")]}
    result = await agent.ainvoke(given, CONFIG, context=RunContext())
    assert result["answer"]["text"] == "Done."
    message = result["messages"][-2]
    return message.artifact["outcome"], message.text, made


@pytest.mark.parametrize("misuse", MISUSES, ids=lambda misuse: misuse.__name__)
async def test_misuse_keeps_nothing_and_names_the_rule(
    saver: Any, speaking: Any, notes: Any, misuse: Misuse
) -> None:
    ended, text, made = await outcome(saver, speaking, misuse)
    assert (ended, RULE in text, made, await notes()) == ("error", True, 1, 0)


async def test_a_commit_by_a_way_round_is_told_and_not_done_again(
    saver: Any, speaking: Any, notes: Any
) -> None:
    async def commit_then_fail(lent: AsyncConnection[DictRow]) -> None:
        await lent.cursor().execute("commit")
        raise ConnectionError("lost")

    ended, text, made = await outcome(saver, speaking, commit_then_fail)
    assert (ended, RULE in text, made, await notes()) == ("error", True, 1, 1)


async def test_savepoints_and_statements_about_them_are_the_tools_own(
    saver: Any, speaking: Any, notes: Any
) -> None:
    async def back_to_a_savepoint(lent: AsyncConnection[DictRow]) -> None:
        await lent.execute("savepoint here")
        await lent.execute(WRITE)
        await lent.execute("rollback to savepoint here")
        async with lent.transaction():
            await lent.execute(WRITE)

    assert (await outcome(saver, speaking, back_to_a_savepoint))[:2] == ("ok", "written")
    assert await notes() == 2


async def test_a_connection_is_of_no_use_after_its_tool(saver: Any, speaking: Any, notes: Any) -> None:
    late: list[asyncio.Task[Any]] = []
    ended = asyncio.Event()

    async def leave_a_task(lent: AsyncConnection[DictRow]) -> None:
        async def write_late() -> None:
            await ended.wait()
            await lent.execute(WRITE)

        late.append(asyncio.create_task(write_late()))

    assert (await outcome(saver, speaking, leave_a_task))[0] == "ok"
    ended.set()
    with pytest.raises(TypeError, match="after its end"):
        await late[0]
    assert await notes() == 1
