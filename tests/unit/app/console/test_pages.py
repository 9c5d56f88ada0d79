"""The console's pages on what real runs have left."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import httpx
import pytest
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from app.console.application import pages, standing_alone
from app.console.guarding import LOOPBACK
from core.context import RunContext
from core.process import Process, opened_process
from core.settings import Settings
from evals.rule_trials import try_rule
from evals.scripted_model import Reply, ScriptedModel, ToolCall
from graphs.single import create_agent
from memory.checkpoints import postgres_checkpointer
from observability.tracing import current_tracing
from tests.decisions import decided
from tests.unit.evals.test_rule_trials import CASES
from tests.unit.memory.rulebook import proposed
from tools.contract import contract

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>\u202e"
PRICES: Any = {"scripted": {"input": 1, "output": 10}}


async def multiply(a: int, b: int) -> str:
    """Multiply two numbers."""
    return f"{a * b}{HOSTILE}"


@pytest.fixture
async def process(postgres_url: str, tmp_path: Path) -> AsyncIterator[Process]:
    """A run by `uma` that calls a tool under a known price, and one by `hugo` of a model without one."""
    settings = Settings(
        database_url=SecretStr(postgres_url), data_dir=tmp_path, cache_dir=tmp_path, prices=PRICES
    )
    script = [Reply(tool_calls=(ToolCall("multiply", {"a": 6, "b": 7}),)), "It is 42.", "Good morning."]
    async with ScriptedModel(script) as model, opened_process(settings) as process:
        saver = await postgres_checkpointer()
        for name, user in (("scripted", "uma"), (HOSTILE, "hugo")):
            llm = ChatOpenAI(base_url=model.base_url, api_key=SecretStr(model.api_key), model=name)
            agent = create_agent(
                llm=llm, tools=[contract(multiply)], name=f"by_{name[:8]}", checkpointer=saver
            )
            asked: Any = {"messages": [("user", f"{HOSTILE} from {user}")]}
            await agent.ainvoke(
                asked, {"configurable": {"thread_id": user}}, context=RunContext(user=user, tenant="acme")
            )
        await (await current_tracing()).flush()
        yield process


@pytest.fixture
async def browser(process: Process) -> AsyncIterator[httpx.AsyncClient]:
    del process
    transport = httpx.ASGITransport(app=standing_alone(pages(LOOPBACK)))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
        yield client


async def page(browser: httpx.AsyncClient, path: str, code: int = 200) -> str:
    answer = await browser.get(f"/console{path}", follow_redirects=True)
    assert answer.status_code == code, answer.text
    return answer.text


async def run_id_of(process: Process, user: str) -> str:
    async with (await process.database()).pool.connection() as connection:
        found = await connection.execute("select run_id from boring.run where thread_id = %s", (user,))
        row = await found.fetchone()
    assert row is not None
    return row["run_id"]


async def test_runs_are_found_by_each_filter(browser: httpx.AsyncClient) -> None:
    both = await page(browser, "/")
    assert both.count("from uma") == both.count("from hugo") == 1
    for asked in (
        "user=uma",
        "agent=by_scripted",
        "user=uma&tenant=acme&status=finished&since=1h",
        "thread=uma",
    ):
        found = await page(browser, f"/runs?{asked}")
        assert "from uma" in found, asked
        assert "from hugo" not in found, asked
    assert "No such runs" in await page(browser, "/runs?tenant=other")
    assert "No such runs" in await page(browser, "/runs?status=failed")
    assert "unknown" in await page(browser, "/runs?user=hugo")


async def test_a_run_shows_its_spans_and_decisions(browser: httpx.AsyncClient, process: Process) -> None:
    run_id = await run_id_of(process, "uma")
    await decided(await process.database(), "uma", HOSTILE, run_id=run_id)
    shown = await page(browser, f"/runs/{run_id}")
    for name in ("invoke_agent by_scripted", "step plan", "chat scripted", "execute_tool multiply"):
        assert name in shown
    assert "because" in shown
    _, _, decisions = shown.partition("<h2>Decisions</h2>")
    link = re.search(rf'href="/console(/runs/{run_id}/spans/\w+)">plan</a>', decisions)
    assert link is not None
    assert "step plan" in await page(browser, link[1])
    assert "There is no run" in await page(browser, "/runs/nonsense", 404)


async def test_a_run_of_more_decisions_than_a_page_shows_says_so(
    browser: httpx.AsyncClient, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.console.runs._MOST_DECISIONS", 2)
    run_id = await run_id_of(process, "uma")
    shown = await page(browser, f"/runs/{run_id}")
    assert "Only its first 2 decisions are shown" in shown


async def test_nothing_that_was_written_by_others_is_part_of_a_page(
    browser: httpx.AsyncClient, process: Process
) -> None:
    run_id = await run_id_of(process, "hugo")
    await decided(await process.database(), "hugo", HOSTILE, run_id=run_id)
    paths = ("/runs", f"/runs/{run_id}", "/charts", "/threads", "/approvals", "/breakers")
    asked = (
        f"/runs?user={HOSTILE}&agent={HOSTILE}&thread={HOSTILE}",
        f"/memory?user={HOSTILE}&tenant={HOSTILE}",
    )
    for path in (*paths, *asked, f"/runs/{HOSTILE.replace('/', '')}"):
        answer = await browser.get(f"/console{path}", follow_redirects=True)
        assert "<script>" not in answer.text, path
        assert "<img" not in answer.text, path
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy


async def test_charts_tell_latency_tokens_cost_and_errors(browser: httpx.AsyncClient) -> None:
    shown = await page(browser, "/charts")
    for word in ("plan", "multiply", "scripted", "p95", "No errors", "$0.00", "unknown"):
        assert word in shown
    assert "Nothing has run" in await page(browser, "/charts?tenant=other")


async def test_a_place_in_a_list_that_no_run_can_have_is_behind_all(browser: httpx.AsyncClient) -> None:
    for place in ("/runs", "/threads"):
        assert "uma" in await page(browser, f"{place}?behind=2100-01-01T00:00:00%2B00:00,%00")


async def test_threads_are_listed_with_their_last_run(browser: httpx.AsyncClient) -> None:
    shown = await page(browser, "/threads")
    assert shown.count("from uma") == shown.count("from hugo") == 1


async def test_other_sites_and_other_names_get_no_page(browser: httpx.AsyncClient) -> None:
    for headers in (
        {"host": "evil.example"},
        {"origin": "https://evil.example"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "cors"},
    ):
        answer = await browser.get("/console/runs", headers=headers)
        assert answer.status_code == 403, headers
        assert "from uma" not in answer.text
    linked = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert (await browser.get("/console/runs", headers=linked)).status_code == 200


async def test_long_lists_have_pages(browser: httpx.AsyncClient, process: Process) -> None:
    async with (await process.database()).pool.connection() as connection:
        await connection.execute(
            "insert into boring.run (thread_id, run_id, graph, status, question, started_at)"
            " select 't' || n, 'r' || n, 'many', 'finished', 'number ' || n || '.',"
            " now() - n * interval '1 s'"
            " from generate_series(1, 120) as n"
        )
    assert await walked(browser, "/runs?agent=many") == list(range(1, 121))


async def test_runs_are_found_and_ordered_by_cost_and_unknown_is_never_zero(
    browser: httpx.AsyncClient, process: Process
) -> None:
    for asked, whose in (
        ("cost=known", "uma"),
        ("cost=unknown", "hugo"),
        ("by=dearest", "uma"),
        ("least=0", "uma"),
        ("least=0.0000001&most=0.01", "uma"),
        ("most=1000", "uma"),
    ):
        found = await page(browser, f"/runs?{asked}")
        assert [name for name in ("uma", "hugo") if f"from {name}" in found] == [whose], asked
    assert "No such runs" in await page(browser, "/runs?least=0.01")
    for asked in (
        *("least=much", "most=-1", "least=NaN", "behind=x,y", "by=dearest&behind=NaN,y"),
        *(f"least={'9' * 5000}", f"least=1.{'3' * 20_000}", f"most=0.{'0' * 5000}1"),
        *("most=1e400000", "least=1e-999999", "by=dearest&behind=1e999999999,y"),
    ):
        assert "such as 0.05" in (told := await page(browser, f"/runs?{asked}", 400)) or "anew" in told
    async with (await process.database()).pool.connection() as connection:
        await connection.execute(
            "insert into boring.run (thread_id, run_id, graph, status, question, started_at)"
            " select 't' || n, 'r' || n, 'many', 'finished', 'number ' || n || '.', now()"
            " from generate_series(1, 120) as n"
        )
        await connection.execute(
            "insert into boring.run_cost (run_id, model_calls, cost_usd, unpriced)"
            " select 'r' || n, 1, n / 3 * 0.01, case when n > 110 then 1 else 0 end"
            " from generate_series(1, 120) as n"
        )
    for order, known in (("dearest", 110), ("newest", 120)):
        seen = await walked(browser, f"/runs?agent=many&by={order}")
        assert sorted(seen) == list(range(1, known + 1))
        if order == "dearest":
            assert [n // 3 for n in seen] == sorted((n // 3 for n in seen), reverse=True)


async def walked(browser: httpx.AsyncClient, path: str) -> list[int]:
    """Return the numbers in the questions of a list, from its first page to its last."""
    seen = list[int]()
    while path:
        shown = await page(browser, path)
        seen += [int(n) for n in re.findall(r"number ([0-9]+)\.", shown)]
        _, _, rest = shown.partition('rel="next"')
        after = shown.rpartition('" rel="next"')[0].rpartition('href="/console')[2]
        path = after.replace("&amp;", "&") if rest else ""
    return seen


async def test_what_came_of_a_trial_of_a_rule_is_shown(browser: httpx.AsyncClient, process: Process) -> None:
    database = await process.database()
    assert "No rule of acme was tried yet" in await page(browser, "/evals?tenant=acme")
    rule = await proposed(database, f"Answer in metres. {HOSTILE}")
    async with ScriptedModel(lambda asked: "metres" if "in metres" in str(asked) else "feet") as model:
        llm = ChatOpenAI(base_url=model.base_url, api_key=SecretStr(model.api_key), model="scripted")
        agent = create_agent(llm=llm, name="towers")
        await try_rule(rule.id, CASES, agent=agent, tenant="acme", by="ann")
    shown = await page(browser, "/evals?tenant=acme")
    row = re.sub("<[^>]+>", " ", shown.partition("Answer in metres.")[2].partition("</tr>")[0]).split()
    assert "<script>" not in shown
    assert row[row.index("towers") :][:9] == [
        "towers",
        "better",
        "10",
        "10",
        "0",
        "0",
        "0.000977",
        "proposed",
        ANY,
    ]
