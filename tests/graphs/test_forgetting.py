"""A user is forgotten wholly: no row is left, and their words stand nowhere in a dump of the database."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from subprocess import PIPE
from typing import Any

import psycopg
import pytest
from langgraph.store.base import PutOp
from psycopg import sql

from core.context import RunContext
from core.embedded.binaries import installed
from core.errors import ThreadBusyError
from core.process import Process
from evals.scripted_model import Reply, ToolCall
from graphs.single import create_agent, model_source
from guardrails.approval import Level, over
from memory.approvals import approvals
from memory.facts import history, remember, user_namespace
from memory.forgetting import HOLD_NOTHING_OF_USERS, PARTS, REDACTED
from memory.items import Origin
from memory.rules import Scope
from memory.rules_changing import reject
from memory.rules_proposing import Evidence, NewRule, propose
from memory.store import MemoryStore
from memory.store_building import index_namespace
from observability.audit import verify_audit
from observability.feedback import NewFeedback, store_feedback
from observability.tracing import current_tracing
from tests.decisions import decided
from tests.graphs.remembering import gives, learnt, remembering, rows, turn
from tools.contract import contract
from tools.deciding import decide
from tools.forgetting import forget_user, look_for_user
from tools.questions import Decision as Said
from tools.refunds import refunds
from tools.tickets import ticket_desk

CANARY = "Zanzibarquokka"
USER = f"ada.{CANARY}@example.com"
ADA = RunContext(user=USER, tenant="acme")
BOB = RunContext(user="bob", tenant="acme")
OF_ADA = Origin("acme", USER, trusted=True)
ROLES = {"manager": ["ann"]}


@pytest.fixture
async def process(postgres_url: str, tmp_path: Path) -> AsyncIterator[Process]:
    told: dict[str, Any] = {"content": "full", "span_content": True}
    async with remembering(postgres_url, tmp_path, memory_exact_rows=100, **told) as opened:
        yield opened


def calls(tool: str, **arguments: Any) -> Reply:
    return Reply(tool_calls=(ToolCall(tool, arguments),))


async def pay(amount: int, to: str) -> str:
    """Pay an amount."""
    return f"paid {amount} to {to}"


async def fail(text: str) -> str:
    """Fail."""
    raise RuntimeError(f"could not use {text}")


def agent_of(llm: Any, saver: Any) -> Any:
    tools = [
        contract(pay, approval=over("amount", 100, levels=[Level("manager")])),
        contract(fail, effect="read"),
    ]
    desks = [*ticket_desk(), *refunds()]
    return create_agent(llm=llm, tools=[*tools, *desks], roles=ROLES, checkpointer=saver, memory=True)


async def leave_traces(saver: Any, speaking: Any, process: Process) -> None:
    """Have the canary written wherever something of a user is kept."""
    database = await process.database()
    words = f"{CANARY} words"
    llm = await speaking(
        [
            calls("fail", text=words),
            calls("create_ticket", title=words, body=words),
            calls("refund_order", order_no="1", amount_eur=1.5, reason=words),
            f"An answer with {words}.",
            gives((1, f"pet {CANARY}", f"The user has a pet {CANARY}.")),
            calls("pay", amount=500, to=words),
            "Done.",
            gives(),
        ]
    )
    agent = agent_of(llm, saver)
    await turn(agent, f"I have a pet {CANARY}.", thread=f"thread-{CANARY}", context=ADA)
    await learnt()
    assert await history(f"pet {CANARY}", origin=OF_ADA)
    await turn(agent, f"Pay {CANARY}!", thread="waits", context=ADA)
    (row,) = await approvals(database, thread_id="waits")
    no = Said(type="reject", message=f"No {words}")
    await decide(database, row.id, no, by="ann", arguments_hash=row.arguments_hash, roles=ROLES)
    paying = await speaking([calls("pay", amount=600, to=words)])
    await turn(agent_of(paying, saver), "Pay!", thread="open", context=ADA)
    await remember(f"{CANARY} summary", subject="all", kind="summary", origin=OF_ADA)
    await remember(f"{CANARY} is over", subject="all", kind="summary", origin=OF_ADA)
    await MemoryStore(origin=OF_ADA).aput(("shared", "notes"), "k", {"text": words})
    [run] = await rows("select run_id from boring.run where thread_id = %s", f"thread-{CANARY}")
    await decided(database, f"thread-{CANARY}", CANARY, run_id=run["run_id"])
    await store_feedback(database, "acme", NewFeedback(row.run_id, USER, 0, words, words))
    await saver.acopy_thread(f"thread-{CANARY}", "copy")
    await _large_namespaces()
    await _rules(database)
    await _run_of_another_kind(database)
    await (await current_tracing()).flush()


async def _large_namespaces() -> None:
    """Have the user's namespace and the whole tenant indexed; the canary is a common word of both."""
    notes = (*user_namespace(USER), "notes")
    ops = [PutOp(notes, str(n), {"text": f"{CANARY} {n}"}) for n in range(102)]
    await MemoryStore(origin=OF_ADA).abatch(ops)
    for place in (notes, ()):
        assert await index_namespace("acme", place)


async def _rules(database: Any) -> None:
    """Leave rules that are for the user, came from them, were proposed by them and decided by them."""
    evidence = (Evidence("said", user=USER, said_by=USER, quote=CANARY),)
    for scope in (Scope("acme", user=USER), Scope("acme")):
        text = f"Speak of {CANARY}."
        await propose(database, NewRule(scope, f"{CANARY} words", text, "explicit", USER, evidence))
    units = await propose(database, NewRule(Scope("acme"), "units", "Be metric.", "person", USER))
    await reject(database, "acme", units.id, by=USER, why=f"because of {CANARY}")


async def _run_of_another_kind(database: Any) -> None:
    """Leave a run without a thread, killed before its end, with something still to learn."""
    async with database.pool.connection() as connection:
        await connection.execute(
            "insert into boring.run (thread_id, run_id, graph, status, question, context) values"
            " ('', 'killed', 'g', 'running', %s, jsonb_build_object('user', %s::text, 'tenant', 'acme'))",
            (CANARY, USER),
        )
        await connection.execute(
            "insert into boring.extraction (run_id, thread_id, tenant, user_id, graph, messages, last_error)"
            " values ('killed', '', 'acme', %s, 'g', jsonb_build_array(%s::text), %s)",
            (USER, CANARY, CANARY),
        )
        await connection.execute(
            "insert into boring.tool_call (thread_id, run_id, call_id, tool, arguments, attempt, outcome,"
            " result, started_at) values ('', 'killed', 'c', 't', '{}', 1, 'ok', %s, now())",
            (CANARY,),
        )


async def dumped(url: str) -> str:
    """Return all that is in the database, as `pg_dump` writes it."""
    program = installed() / "pginstall" / "bin" / "pg_dump"
    if not program.exists():
        return await copied(url)
    dumping = await asyncio.create_subprocess_exec(
        program, "--dbname", url, "--inserts", stdout=PIPE, stderr=PIPE, env={"PATH": os.environ["PATH"]}
    )
    out, err = await dumping.communicate()
    assert dumping.returncode == 0, err.decode()
    return out.decode()


async def copied(url: str) -> str:
    """Return all rows of all tables of all schemas as text."""
    parts: list[bytes] = []
    async with await psycopg.AsyncConnection.connect(url) as connection:
        found = await connection.execute(
            "select table_schema, table_name from information_schema.tables where table_type = 'BASE TABLE'"
            " and table_schema not in ('pg_catalog', 'information_schema')"
        )
        for schema, table in await found.fetchall():
            copying = sql.SQL("copy (select * from {}) to stdout").format(sql.Identifier(schema, table))
            async with connection.cursor().copy(copying) as copy:
                parts += [bytes(part) async for part in copy]
    return b"".join(parts).decode()


def occurrences(dump: str) -> int:
    """Count the canary, in plain text and in the bytes of checkpoints, which a dump shows as hex."""
    low, word = dump.lower(), CANARY.lower()
    return low.count(word) + low.count(CANARY.encode().hex()) + low.count(word.encode().hex())


async def test_a_forgotten_user_leaves_no_row_and_no_word_in_a_dump(
    saver: Any, speaking: Any, process: Process, postgres_url: str
) -> None:
    await leave_traces(saver, speaking, process)
    others = await speaking(["Hello Bob.", gives((1, "drink", "The user likes tea."))])
    await turn(agent_of(others, saver), "I like tea.", thread="bobs", context=BOB)
    await learnt()
    await (await current_tracing()).flush()
    assert occurrences(await dumped(postgres_url)) > 50
    said = "select count(*) as n from boring.span where attributes::text like %s and attributes ? %s"
    [spans] = await rows(said, f"%{CANARY}%", "gen_ai.input.messages")
    assert spans["n"] > 3
    there = await look_for_user("acme", USER)
    assert {name for name, number in there.found.items() if not number} <= {"leases of threads"}
    done = await forgotten_when_idle()
    assert dict(done.found) | {"leases of threads": 0} == dict(there.found) | {"leases of threads": 0}
    assert (done.is_whole, sum(done.left.values())) == (True, 0)
    for dump in (await dumped(postgres_url), await copied(postgres_url)):
        assert occurrences(dump) == 0
    found = await verify_audit(await process.database())
    assert (found.is_whole, found.redacted > 0, found.requests) == (True, True, {})
    assert [one["thread_id"] for one in await rows("select thread_id from boring.run")] == ["bobs"]
    assert len(await history("drink", origin=Origin("acme", "bob"))) == 1
    (ticket,) = await rows("select title, body, status, created_by from boring.ticket")
    assert ticket == {"title": "[forgotten]", "body": "", "status": "open", "created_by": "[forgotten]"}
    (refund,) = await rows("select reason, amount_eur::float8 as eur, created_by from boring.refund")
    assert refund == {"reason": "[forgotten]", "eur": 1.5, "created_by": "[forgotten]"}


async def forgotten_when_idle(user: str = USER) -> Any:
    """Forget a user once nothing works on the threads: a run that waits lets go of its thread by itself."""
    async with asyncio.timeout(20):
        while True:
            try:
                return await forget_user("acme", user, by="ops")
            except ThreadBusyError:
                await asyncio.sleep(0.2)


async def test_decisions_on_requests_of_others_stay_on_record_and_are_counted(
    saver: Any, speaking: Any, process: Process
) -> None:
    database = await process.database()
    agent = agent_of(await speaking([calls("pay", amount=500, to="shop")]), saver)
    await turn(agent, "Pay!", thread="bobs", context=BOB)
    (row,) = await approvals(database, thread_id="bobs")
    no = Said(type="reject", message="No.")
    await decide(database, row.id, no, by="ann", arguments_hash=row.arguments_hash, roles=ROLES)
    assert (await look_for_user("acme", "ann")).kept == 1
    assert (await forget_user("other", "ann", by="ops")).kept == 0
    done = await forget_user("acme", "ann", by="ops")
    assert (done.is_whole, done.kept) == (True, 1)
    assert (await verify_audit(database)).is_whole
    assert [one["who"] for one in await rows("select who from boring.audit where event = 'reject'")] == [
        "ann"
    ]
    await forgotten_when_idle("bob")
    assert (await look_for_user("acme", "ann")).kept == 0


async def test_a_dry_run_forgets_nothing(
    saver: Any, speaking: Any, process: Process, postgres_url: str
) -> None:
    await leave_traces(saver, speaking, process)
    await (await current_tracing()).flush()
    before = occurrences(await copied(postgres_url))
    found = await look_for_user("acme", USER)
    assert (found.is_whole, found.threads) == (False, 4)
    assert occurrences(await copied(postgres_url)) == before


async def test_the_same_name_in_another_tenant_is_another_user(saver: Any, speaking: Any) -> None:
    await remember("Theirs.", subject="s", origin=Origin("other", USER))
    agent = create_agent(llm=await speaking(["Hello."]), checkpointer=saver)
    await turn(agent, "Hi", thread="theirs", context=RunContext(user=USER, tenant="other"))
    done = await forget_user("acme", USER, by="ops")
    assert (done.is_whole, sum(done.found.values())) == (True, 0)
    assert len(await history("s", origin=Origin("other", USER))) == 1
    assert len(await rows("select * from boring.run")) == 1


async def test_a_thread_that_others_shared_goes_whole_and_is_named(saver: Any, speaking: Any) -> None:
    agent = create_agent(llm=await speaking(["One.", "Two."]), checkpointer=saver)
    await turn(agent, "Mine", thread="both", context=BOB)
    await turn(agent, "Ours", thread="both", context=ADA)
    await remember("Bob's.", subject="s", origin=Origin("acme", "bob", thread_id="both"))
    done = await forget_user("acme", USER, by="ops")
    assert done.shared == ("both",)
    assert await rows("select * from boring.run") == []
    (kept,) = await history("s", origin=Origin("acme", "bob"))
    assert kept.origin.thread_id is None


async def test_a_thread_that_somebody_works_on_is_refused_and_nothing_is_forgotten(
    saver: Any, speaking: Any
) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def wait() -> str:
        """Wait."""
        begun.set()
        await go_on.wait()
        return "waited"

    llm = await speaking([calls("wait"), "Done."])
    agent = create_agent(llm=llm, tools=[contract(wait, effect="read")], checkpointer=saver)
    await remember("Kept.", subject="s", origin=OF_ADA)
    async with asyncio.TaskGroup() as group:
        group.create_task(turn(agent, "Wait", thread="busy", context=ADA))
        await begun.wait()
        with pytest.raises(ThreadBusyError, match=r"working on 1 of the threads .*: busy\. Nothing"):
            await forget_user("acme", USER, by="ops")
        assert len(await history("s", origin=OF_ADA)) == 1
        go_on.set()
    assert (await forget_user("acme", USER, by="ops")).is_whole


async def test_what_is_being_learnt_at_this_moment_is_not_kept(saver: Any, speaking: Any) -> None:
    held: list[Any] = []
    llm = await speaking(["Noted.", gives((1, "drink", "The user likes tea."))])

    async def forgetting() -> Any:
        """Return the model for the second time only after the user is forgotten: learning has begun."""
        if await rows("select * from boring.extraction where worker is not null"):
            held.append(await forget_user("acme", USER, by="ops"))
        return await model_source(llm)()

    agent = create_agent(llm=forgetting, checkpointer=saver, memory=True)
    await turn(agent, "I like tea.", context=ADA)
    await learnt()
    assert [done.is_whole for done in held] == [True]
    assert len(llm.metadata["scripted"].requests) == 2
    assert await rows("select * from boring.memory_item") == []
    assert await rows("select * from boring.run") == []


async def test_every_table_with_texts_is_forgotten_or_holds_nothing_of_users(saver: Any) -> None:
    found = await rows(
        "select distinct case when table_name ~ '^check' then '' else 'boring.' end || table_name as name"
        " from information_schema.columns join information_schema.tables using (table_schema, table_name)"
        " where table_type = 'BASE TABLE' and table_name !~ '^span_[0-9]'"  # a part of another
        " and (table_schema = 'boring' or table_name ~ '^checkpoint')"
        " and data_type in ('text', 'json', 'jsonb', 'bytea', 'character varying', 'ARRAY', 'USER-DEFINED')"
    )
    del saver  # has made the tables of checkpoints
    known = {part.table for part in PARTS} | REDACTED | HOLD_NOTHING_OF_USERS
    assert {row["name"] for row in found} - known == set()
