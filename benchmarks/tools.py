"""What the contract around a tool call costs: time for a read, commits for an effect, SQL for a turn.

The time is that of a contracted call over the bare function, measured in pairs, one after the other. Commits
are counted by the server, statements as they are sent. The last line has the figures; the exit code is 1 if
the median is over the limit.
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Any, Final

import psycopg
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.messages import ToolCall as Call
from langchain_openai import ChatOpenAI
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

from core.context import RunContext
from core.database import Database
from core.process import opened_process
from core.settings import Settings
from core.worker import current_worker
from evals.counted_sql import counted_sql
from evals.crashes.place import embedded_database
from evals.scripted_model import Reply, ScriptedModel, ToolCall
from graphs.single import create_agent
from memory.checkpoints import postgres_checkpointer
from memory.claims import current_claims
from tools.breakers import current_breakers
from tools.contract import Effect, Tool, contract
from tools.injection import Transaction
from tools.journal import Journal
from tools.runtime import CallScope, ToolRuntime

LIMIT_US: Final = 150.0
"""Most microseconds that the contract may add to a read, at the median."""
EFFECTS: Final[tuple[Effect, ...]] = ("read", "idempotent", "transactional", "unsafe")
_WARM_UP: Final = 500
# A backend that has looked at no table has nothing to tell, whatever it has committed.
_TELL: Final = "select pg_stat_force_next_flush(), count(*) from boring.run"
_COMMITS: Final = "select xact_commit from pg_stat_database where datname = %s"
_JOURNAL: Final = ("boring.effect", "boring.plan", "boring.question")


@dataclass(frozen=True, slots=True)
class Overhead:
    """What the contract adds to a read, in microseconds; `bare_us` is the function alone."""

    bare_us: float
    median_us: float
    p95_us: float


@dataclass(frozen=True, slots=True)
class Cost:
    """What was sent and committed, for each call or turn.

    Attributes:
        commits: as the server counted them.
        journal: statements that name a table of the journal.
    """

    statements: float
    commits: float
    journal: float


def tool(effect: Effect) -> Tool:
    """Return a tool that does next to nothing."""

    async def act(order: int, note: str) -> str:
        """Act on an order."""
        return f"order {order}: {note}"

    async def write(order: int, note: str, transaction: Transaction) -> str:
        """Write a row about an order."""
        insert = "insert into boring.ticket (tenant, title, body, created_by) values ('t', %s, %s, 'u')"
        await transaction.execute(insert, (str(order), note))
        return "written"

    return contract(write if effect == "transactional" else act, effect=effect)


async def overhead(pairs: int) -> Overhead:
    """Measure a read as `nodes.execute` calls it, and its function, in turns."""
    one = tool("read")
    runtime, breakers, clock = ToolRuntime([one]), await current_breakers(), time.perf_counter_ns
    bare: list[int] = []
    added: list[int] = []
    for number in range(_WARM_UP + pairs):
        call = Call(name=one.name, args={"order": number, "note": "paid"}, id=f"call_{number}")
        began = clock()
        await one.run(order=number, note="paid")
        between = clock()
        scope = CallScope(step=1, time_limit_s=30, thread_id="t", run_id="r", breakers=breakers)
        await runtime.call(call, scope)
        ended = clock()
        if number >= _WARM_UP:
            bare.append(between - began)
            added.append((ended - between) - (between - began))
    p95 = statistics.quantiles(added, n=100)[94]
    return Overhead(*(round(ns / 1000, 2) for ns in (statistics.median(bare), statistics.median(added), p95)))


async def cost(database: Database, times: int, work: Callable[[], Awaitable[None]]) -> Cost:
    """Do `work` several times and count what each cost, once its statements are prepared."""
    await work()
    before = await _commits(database)
    with counted_sql() as counted:
        for _ in range(times):
            await work()
    commits = await _commits(database) - before - 1  # the one that told the server to write its count
    if commits != counted.commits:
        raise RuntimeError(f"the server counted {commits} commits, expected {counted.commits} as sent")
    journal = {statement for table in _JOURNAL for statement in counted.about(table)}
    on_journal = sum(statement in journal for statement in counted.statements)
    return Cost(len(counted.statements) / times, commits / times, on_journal / times)


async def _commits(database: Database) -> int:
    """Return the commits in the database so far; they are read from another one, which counts apart."""
    async with database.pool.connection() as connection:
        await connection.execute(_TELL)
    name = conninfo_to_dict(database.url)["dbname"]
    elsewhere = make_conninfo(database.url, dbname="postgres")
    async with await psycopg.AsyncConnection.connect(elsewhere, autocommit=True) as connection:
        row = await (await connection.execute(_COMMITS, (name,))).fetchone()
    return int(row[0]) if row is not None else 0


async def call_cost(database: Database, effect: Effect, times: int) -> Cost:
    """Count what a call of one class costs."""
    one = tool(effect)
    runtime, journal = ToolRuntime([one]), Journal(database, (await current_worker()).id)
    scope = CallScope(
        step=1,
        time_limit_s=30,
        thread_id="t",
        run_id="r",
        breakers=await current_breakers(),
        journal=journal if runtime.needs_journal(one.name) else None,
    )

    async def call() -> None:
        asked = Call(name=one.name, args={"order": 7, "note": "paid"}, id=uuid.uuid4().hex)
        done = await runtime.call(asked, scope)
        if not isinstance(done, ToolMessage) or done.status != "success":
            raise RuntimeError(f"the call came to {done!r}, expected a success")

    async with (await current_claims()).held("t"):
        return await cost(database, times, call)


async def turn_cost(database: Database, model: ScriptedModel, effect: Effect, times: int) -> Cost:
    """Count what a turn with one call costs, checkpoints, log and all."""
    llm = ChatOpenAI(base_url=model.base_url, api_key=SecretStr(model.api_key), model="scripted")
    agent = create_agent(llm=llm, tools=[tool(effect)], checkpointer=await postgres_checkpointer())

    async def turn() -> None:
        asked: Any = {"messages": [HumanMessage("Do it")]}
        config: Any = {"configurable": {"thread_id": uuid.uuid4().hex}}
        result = await agent.ainvoke(asked, config, context=RunContext(), durability="sync")
        if result["answer"]["status"] != "answered":
            raise RuntimeError(f"the turn ended as {result['answer']}, expected an answer")

    return await cost(database, times, turn)


def speak(request: dict[str, Any]) -> Reply:
    """Make one call of the tool, then answer."""
    if request["messages"][-1]["role"] == "tool":
        return Reply(text="Done.")
    name = request["tools"][0]["function"]["name"]
    return Reply(tool_calls=(ToolCall(name, {"order": 7, "note": "paid"}),))


async def measured(url: str, pairs: int, times: int) -> tuple[Overhead, dict[str, Cost]]:
    """Measure everything in one process, over one connection, since each backend counts apart."""
    settings = Settings(database_url=SecretStr(url), database_pool_size=2)
    async with opened_process(settings) as process, ScriptedModel(speak) as model:
        database = await process.database()
        costs: dict[str, Cost] = {}
        async with database.pool.connection() as other:  # one of the two; all is done over the one left
            await other.execute("alter system set autovacuum = off")  # it commits too
            await other.execute("select pg_reload_conf()")
            for effect in EFFECTS:
                costs[f"{effect} call"] = await call_cost(database, effect, times)
            for effect in EFFECTS:
                costs[f"turn with one {effect} call"] = await turn_cost(database, model, effect, times)
        return await overhead(pairs), costs


def main() -> int:
    """Print the tables and, last, the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=5000, help="calls with and without the contract")
    parser.add_argument("--times", type=int, default=20, help="calls and turns of each effect to count")
    options = parser.parse_args()
    with embedded_database() as url:
        added, costs = asyncio.run(measured(url, options.pairs, options.times))
    table = Table("what", "statements", "commits", "on the journal")
    for name, one in costs.items():
        table.add_row(name, f"{one.statements:g}", f"{one.commits:g}", f"{one.journal:g}")
    console = Console(width=110)
    console.print(table)
    passed = added.median_us <= LIMIT_US
    console.print(
        f"A read under contract takes {added.median_us:g} µs more than its function at the median, "
        f"{added.p95_us:g} µs at p95. The limit is {LIMIT_US:g} µs: {'passed' if passed else 'failed'}.",
        highlight=False,
    )
    figures = {"cores": os.cpu_count(), "passed": passed, "pairs": options.pairs, **asdict(added)}
    print(json.dumps({**figures, "costs": {name: asdict(one) for name, one in costs.items()}}))
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
