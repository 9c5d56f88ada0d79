"""Who sees what: a tenant's people their tenant alone, operators all, and strangers nothing."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from langchain_openai import ChatOpenAI
from pydantic import SecretStr
from starlette.authentication import AuthCredentials, UnauthenticatedUser
from starlette.routing import Mount, Route
from starlette.types import Receive, Scope, Send

from app.console.application import pages, standing_alone
from core.context import RunContext
from core.process import Process
from core.tenants import as_tenant
from evals.scripted_model import Reply, ScriptedModel, ToolCall
from graphs.single import create_agent
from guardrails.approval import always
from memory.approvals import approvals
from memory.checkpoints import postgres_checkpointer
from memory.facts import user_namespace
from memory.items import NewItem, Origin
from memory.items_writing import write
from memory.rules import Scope as RuleScope
from observability.feedback import NewFeedback, store_feedback
from observability.tracing import current_tracing
from tests.unit.app.console.test_pages import process as process
from tests.unit.app.console.test_pages import run_id_of
from tests.unit.memory.rulebook import proposed
from tools.contract import contract

THEIRS = "otterbeach"
"""In all that belongs to the tenant `other`."""


@dataclass
class Person:
    identity: str
    tenant: Any = None
    is_authenticated: bool = True


@asynccontextmanager
async def signed_in(user: Any, permissions: Sequence[str]) -> AsyncGenerator[httpx.AsyncClient]:
    """Be a browser behind an authentication like the server's."""
    console = standing_alone(pages())

    async def server(scope: Scope, receive: Receive, send: Send) -> None:
        who = {"user": user, "auth": AuthCredentials(permissions)}
        await console({**scope, **who}, receive, send)

    transport = httpx.ASGITransport(app=server)
    async with httpx.AsyncClient(transport=transport, base_url="http://server:2024") as client:
        yield client


@pytest.fixture
async def other(process: Process) -> dict[str, str]:
    """A run of another tenant that waits for approval, with all that its pages show; return their names."""

    async def otterpay(to: str) -> str:
        """Pay somebody."""
        return f"paid {to}"

    database = await process.database()
    script = [Reply(tool_calls=(ToolCall("otterpay", {"to": THEIRS}),)), "Done."]
    async with ScriptedModel(script) as model:
        llm = ChatOpenAI(base_url=model.base_url, api_key=SecretStr(model.api_key), model=f"{THEIRS}-model")
        tools = [contract(otterpay, approval=always)]
        agent = create_agent(
            llm=llm, tools=tools, name=f"{THEIRS}_agent", checkpointer=await postgres_checkpointer()
        )
        asked: Any = {"messages": [("user", f"Pay {THEIRS}")]}
        where: Any = {"configurable": {"thread_id": f"{THEIRS} thread"}}
        await agent.ainvoke(asked, where, context=RunContext(user="omar", tenant="other"))
    await (await current_tracing()).flush()
    [request] = await approvals(database, tenant="other")
    async with database.pool.connection() as connection:
        found = await connection.execute("select span_id from boring.span where step = 'plan'")
        spans = [row["span_id"] for row in await found.fetchall()]
        await connection.execute(
            "insert into boring.breaker (name, state, failures, cooldown_s, last_error)"
            " values ('tool', 'open', 3, 30, %s)",
            (THEIRS,),
        )
    said = NewFeedback(request.run_id, f"{THEIRS} rater", 0, comment=f"{THEIRS}?", correction=THEIRS)
    await store_feedback(database, "other", said)
    rule = await proposed(database, f"Greet {THEIRS}.", scope=RuleScope("other"), by="omar")
    async with as_tenant(database, "other") as connection:
        await connection.execute("update boring.rule set trial = '{}' where id = %s", (rule.id,))
        origin = Origin("other", "omar")
        told = NewItem(user_namespace("omar"), "k", {}, f"likes {THEIRS}", None, None, "fact", None, origin)
        await write(connection, "other", items=[told])
    return {"run_id": request.run_id, "approval_id": str(request.id), "span_id": spans[-1]}


ASKED = ("", "?tenant=other", "?user=omar&tenant=other", f"?agent={THEIRS}_agent&thread={THEIRS} thread")
ASKED_OF: dict[str, Sequence[str]] = {
    "/runs": (
        *ASKED,
        "?by=dearest&tenant=other",
        "?cost=unknown",
        "?status=interrupted&since=1h",
        "?rating=disliked",
    ),
    "/runs/{run_id}": ("",),
    "/runs/{run_id}/spans/{span_id}": ("", "?state=1"),
    "/approvals": ("", "?all=1", "?tenant=other"),
    "/approvals/{approval_id}": ("",),
    "/charts": ("", "?since=1h&tenant=other"),
    "/threads": ("",),
    "/breakers": ("",),
    "/memory": ("?user=omar&tenant=other", "?user=omar"),
    "/evals": ("", "?tenant=other"),
    "/": ("",),
}
"""How every page is asked for what is another tenant's."""


def addresses(other: dict[str, str]) -> list[str]:
    """Return the addresses of all pages that there are, of what belongs to the tenant `other`."""
    told = [one for one in pages().routes if isinstance(one, Route) and "GET" in (one.methods or ())]
    assert all(isinstance(one, Route | Mount) for one in pages().routes)
    return [f"/console{one.path.format(**other)}{asked}" for one in told for asked in ASKED_OF[one.path]]


@pytest.mark.parametrize("role", ["viewer", "approver"])
async def test_nothing_of_another_tenant_is_in_any_page_whatever_is_asked(
    process: Process, other: dict[str, str], role: str
) -> None:
    async with signed_in(Person("ann", "acme"), [f"console:{role}"]) as browser:
        for address in addresses(other):
            answer = await browser.get(address, follow_redirects=True)
            assert answer.status_code in {200, 403, 404}, address
            for word in (THEIRS, "omar", "otterpay", other["approval_id"]):
                said = answer.text.replace(f'value="{THEIRS}', "").replace('value="omar"', "")
                assert word not in said.replace("Nothing is known of omar", ""), (address, word)
        assert (await browser.get(f"/console/runs/{other['run_id']}")).status_code == 404
        assert (await browser.get(f"/console/approvals/{other['approval_id']}")).status_code == 404
        assert (await browser.get("/console/breakers")).status_code == 403
        mine = (await browser.get("/console/runs?tenant=other")).text
        assert "from uma" in mine
        assert "ann, " in mine
        own = await browser.get(f"/console/runs/{await run_id_of(process, 'uma')}")
        assert own.status_code == 200


async def test_operators_see_every_tenant(other: dict[str, str]) -> None:
    async with signed_in(Person("olga"), ["console:operator"]) as browser:
        for address in addresses(other):
            assert (await browser.get(address, follow_redirects=True)).status_code == 200, address
        for address in (
            "/runs",
            f"/runs/{other['run_id']}",
            "/approvals",
            "/threads",
            "/breakers",
            "/evals?tenant=other",
            "/runs?rating=comment&tenant=other",
            "/charts?since=1h&tenant=other",
        ):
            assert THEIRS in (await browser.get(f"/console{address}")).text, address
        assert "likes" in (await browser.get("/console/memory?user=omar&tenant=other")).text


@pytest.mark.usefixtures("process")
async def test_who_has_no_permission_or_no_tenant_gets_no_page() -> None:
    for user, permissions in (
        (Person("eve", "acme"), []),
        (Person("eve", "acme"), ["authenticated", "console:admin"]),
        (Person("eve"), ["console:viewer"]),
        (Person("eve", ["acme"]), ["console:approver"]),
        (Person("eve", ""), ["console:viewer"]),
        (Person("eve", "acme", is_authenticated=False), ["console:operator"]),
        (UnauthenticatedUser(), []),
    ):
        async with signed_in(user, permissions) as browser:
            for path in ("/console/runs", "/console/threads", "/console/static/console.css"):
                answer = await browser.get(path)
                assert answer.status_code == 403, (user, path)
                assert "from uma" not in answer.text


async def test_viewers_look_and_do_not_decide_and_nobody_decides_for_another_tenant(
    process: Process, other: dict[str, str]
) -> None:
    database = await process.database()
    [row] = await approvals(database)
    form = {"type": "approve", "by": "ann", "hash": row.arguments_hash, "token": "t"}
    for tenant, role, code in (("other", "viewer", 403), ("acme", "approver", 404)):
        async with signed_in(Person("ann", tenant), [f"console:{role}"]) as browser:
            browser.cookies.set("boring_console", "t")
            address = f"/console/approvals/{other['approval_id']}"
            assert (await browser.post(address, data=form)).status_code == code
            if role == "viewer":
                told = (await browser.get(address)).text
                assert "Arguments" in told
                assert "<form" not in told
    [row] = await approvals(database)
    assert (row.status, row.settled_by) == ("open", None)
    async with signed_in(Person("ann", "other"), ["console:approver"]) as browser:
        assert "<form" in (await browser.get(f"/console/approvals/{other['approval_id']}")).text


async def test_the_states_of_a_thread_that_tenants_share_are_for_operators(process: Process) -> None:
    run_id = await run_id_of(process, "uma")
    async with (await process.database()).pool.connection() as connection:
        query = "select span_id from boring.span where run_id = %s and step = 'execute'"
        row = await (await connection.execute(query, (run_id,))).fetchone()
        await connection.execute(
            "insert into boring.run (thread_id, run_id, graph, status, context)"
            """ values ('uma', 'x', 'g', 'finished', '{"tenant": "other"}')"""
        )
    assert row is not None
    address = f"/console/runs/{run_id}/spans/{row['span_id']}?state=1"
    for who, role, seen in ((Person("ann", "acme"), "viewer", False), (Person("olga"), "operator", True)):
        async with signed_in(who, [f"console:{role}"]) as browser:
            told = (await browser.get(address)).text
            assert ("42&lt;script" in told, "only operators" in told) == (seen, not seen)


async def test_a_thread_that_tenants_share_is_listed_for_each_with_its_own_last_run(process: Process) -> None:
    async with (await process.database()).pool.connection() as connection:
        await connection.execute(
            "insert into boring.run (thread_id, run_id, graph, status, context, question)"
            """ values ('uma', 'x', 'g', 'finished', '{"tenant": "other"}', 'from elsewhere')"""
        )
    for who, role, seen in (
        (Person("ann", "acme"), "viewer", {"from uma"}),
        (Person("eve", "other"), "viewer", {"from elsewhere"}),
        (Person("olga"), "operator", {"from uma", "from elsewhere"}),
    ):
        async with signed_in(who, [f"console:{role}"]) as browser:
            told = (await browser.get("/console/threads")).text
            assert {one for one in ("from uma", "from elsewhere") if one in told} == seen, who
            assert ("thread=uma&amp;tenant=other" in told) == (role == "operator")
