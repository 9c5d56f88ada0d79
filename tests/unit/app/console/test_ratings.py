"""What is said of runs, in the console: shown, looked for, and said by a form."""

import html
import re
from datetime import UTC, datetime

import httpx
import pytest

from core.process import Process
from memory.rules_listing import Wanted, rules
from observability.feedback import (
    Feedback,
    NewFeedback,
    Rating,
    WantedFeedback,
    feedback_found,
    ratings_of,
    store_feedback,
)
from tests.unit.app.console.test_pages import HOSTILE, page, run_id_of
from tests.unit.app.console.test_pages import browser as browser
from tests.unit.app.console.test_pages import process as process
from tests.unit.app.console.test_viewing import Person, signed_in


async def said_of(process: Process, run_id: str) -> list[Feedback]:
    return await feedback_found(await process.database(), "acme", WantedFeedback(run_id=run_id))


async def signal(process: Process, user: str, name: str) -> None:
    async with (await process.database()).pool.connection() as connection:
        await connection.execute(
            "insert into boring.feedback"
            " (tenant, user_id, run_id, thread_id, agent, key, source, signal, given_by)"
            " select 'acme', %(user)s, run_id, thread_id, graph, %(name)s, 'signal', %(name)s, 'signals'"
            " from boring.run where thread_id = %(user)s",
            {"user": user, "name": name},
        )


async def test_runs_are_found_by_what_was_said_of_them(browser: httpx.AsyncClient, process: Process) -> None:
    database = await process.database()
    uma, hugo = await run_id_of(process, "uma"), await run_id_of(process, "hugo")
    assert "Rate one on its page" in await page(browser, "/runs?rating=rated")
    await store_feedback(database, "acme", NewFeedback(uma, "ann", 0.8))
    await store_feedback(database, "acme", NewFeedback(uma, "bob", 0.4))
    await store_feedback(database, "acme", NewFeedback(hugo, "ann", 0, comment=HOSTILE))
    await signal(process, "hugo", "rephrased")
    for asked, found in (
        ("rated", {"uma", "hugo"}),
        ("liked", {"uma"}),
        ("disliked", {"hugo"}),
        ("comment", {"hugo"}),
        ("signal", {"hugo"}),
        ("rephrased", {"hugo"}),
        ("abandoned", set[str]()),
        ("edited_approval", set[str]()),
        ("disliked&tenant=acme&agent=by_scripted", set[str]()),
    ):
        told = await page(browser, f"/runs?rating={asked}")
        assert {user for user in ("uma", "hugo") if f"from {user}" in told} == found, asked
    told = await page(browser, "/runs")
    assert told.count('liked">0.6<') == told.count('disliked">thumbs down<') == 1
    assert "by 2 people" in told
    assert told.count('class="signal nowrap">rephrased<') == 1
    assert "Give one of rated, liked" in await page(browser, "/runs?rating=best", 400)


async def test_satisfaction_is_charted_by_day_and_agent_with_signals_apart(
    browser: httpx.AsyncClient, process: Process
) -> None:
    database = await process.database()
    uma, hugo = await run_id_of(process, "uma"), await run_id_of(process, "hugo")
    await signal(process, "hugo", "abandoned")
    told = await page(browser, "/charts")
    assert "boring feedback RUN --up" in told
    assert "Runs with signals" in told
    await store_feedback(database, "acme", NewFeedback(uma, "ann", 1))
    await store_feedback(database, "acme", NewFeedback(hugo, "ann", comment="No score, so it is not rated."))
    async with database.pool.connection() as connection:
        await connection.execute(
            "insert into boring.run (thread_id, run_id, graph, status, context, started_at)"
            """ select 't' || n, 'r' || n, 'by_scripted', 'finished', '{"tenant": "acme"}', now()"""
            " - case when n > 2 then interval '1 day' else interval '0' end from generate_series(1, 4) as n"
        )
    for run_id, score in (("r1", 0.5), ("r2", 0.4), ("r3", 0), ("r4", 0)):
        await store_feedback(database, "acme", NewFeedback(run_id, "ann", score))
    for asked in ("", "?tenant=acme"):
        told = await page(browser, f"/charts{asked}")
        day = f"{datetime.now(UTC):%Y-%m-%d}"
        assert f"<title>{day}: 67 % of 3 rated</title>" in told
        assert cells(told, "by_scripted") == [
            ["", "40 %", "2", "5"],
            ["67 %", "2", "3"],
            ["0 %", "0", "2"],
        ]
        assert cells(told, html.escape("by_<script>"[:11])) == [["0", "1", "0"]]
    told = await page(browser, "/charts?tenant=other")
    assert "No run of this time has a score" in told
    assert "Runs with signals" not in told
    assert "67 %" not in await page(browser, "/charts?since=1h&tenant=other")


def cells(told: str, agent: str) -> list[list[str]]:
    """Return what stands beside an agent, in each row of the tables of satisfaction."""
    rows = told.partition('id="satisfaction"')[2].split("<tr>")
    found = [re.split(f">{re.escape(agent)}[^<]*</t[hd]>", row) for row in rows]
    return [re.findall(r"<td[^>]*>(?:<svg.*?</svg>)?([^<]*)</td>", row[1]) for row in found if len(row) > 1]


@pytest.fixture
async def form(browser: httpx.AsyncClient, process: Process) -> tuple[str, dict[str, str]]:
    """Where the run of `uma` is rated, and the hidden fields of the form."""
    address = f"/console/runs/{await run_id_of(process, 'uma')}"
    return address, await hidden_of(browser, process, address)


async def hidden_of(browser: httpx.AsyncClient, process: Process, address: str) -> dict[str, str]:
    async with (await process.database()).pool.connection() as connection:
        await connection.execute("update boring.run set finished_at = finished_at - interval '1 min'")
    shown = (await browser.get(address)).text
    return dict(re.findall(r'type="hidden" name="([a-z]+)" value="([^"]+)"', shown))


async def test_a_run_is_rated_by_a_form_and_what_was_said_is_shown(
    browser: httpx.AsyncClient, process: Process, form: tuple[str, dict[str, str]]
) -> None:
    address, hidden = form
    said = {**hidden, "thumb": "down", "score": "", "comment": HOSTILE, "correction": "42", "by": "ann"}
    answer = await browser.post(address, data=said)
    assert (answer.status_code, answer.headers["location"]) == (303, f"{address}#said")
    shown = (await browser.get(address)).text
    assert "thumbs down" in shown
    assert html.escape("<script>alert(1)</script>") in shown
    assert "<script>alert(1)" not in shown
    await browser.post(address, data={**said, "thumb": "", "score": "0.75"})
    await browser.post(address, data={**said, "thumb": "up", "by": "bob"})
    [bob, ann] = await said_of(process, address.rpartition("/")[2])
    assert (bob.score, bob.given_by, bob.source) == (1, "bob", "operator")
    assert (ann.score, ann.given_by, ann.correction, ann.key) == (0.75, "ann", "42", "user_score")


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"thumb": "up", "score": "1"}, "a thumb and a score"),
        ({"thumb": "sideways"}, "There is no thumb"),
        ({"score": "many"}, "is no number"),
        ({"score": "1.5"}, "from 0 (thumbs down) to 1"),
        ({"score": "nan"}, "The score is nan"),
        ({}, "Nothing is said of the run"),
        ({"thumb": "up", "by": " "}, "Name who gives"),
        ({"comment": "x" * 10_001}, "has 10001 characters"),
    ],
)
async def test_what_makes_no_sense_is_refused_and_stays_in_the_form(
    browser: httpx.AsyncClient,
    process: Process,
    form: tuple[str, dict[str, str]],
    changed: dict[str, str],
    why: str,
) -> None:
    address, hidden = form
    told = await browser.post(address, data={**hidden, "by": "ann", "correction": " ", **changed})
    assert (told.status_code, why in html.unescape(told.text)) == (400, True), told.text
    assert changed.get("comment", "") in told.text
    assert await said_of(process, address.rpartition("/")[2]) == []


async def test_a_form_of_another_site_or_without_its_token_rates_nothing(
    browser: httpx.AsyncClient, process: Process, form: tuple[str, dict[str, str]]
) -> None:
    address, hidden = form
    said = {**hidden, "thumb": "up", "by": "ann"}
    assert (await browser.post(address, data={**said, "token": "x"})).status_code == 403
    elsewhere = {"origin": "https://evil.example"}
    assert (await browser.post(address, data=said, headers=elsewhere)).status_code == 403
    assert (await browser.post(address, json=said)).status_code == 415
    assert (await browser.post("/console/runs/nonsense", data=said)).status_code == 404
    assert await said_of(process, address.rpartition("/")[2]) == []


async def test_who_rates_runs_of_their_tenant_does_so_as_who_they_are_and_no_peer_proposes_a_rule(
    process: Process,
) -> None:
    run_id = await run_id_of(process, "uma")
    address = f"/console/runs/{run_id}"
    for who, role, code in (
        (Person("eve", "other"), "viewer", 404),
        (Person("ann", "acme"), "approver", 303),
        (Person("bob", "acme"), "viewer", 303),
        (Person("uma", "acme"), "viewer", 303),
    ):
        async with signed_in(who, [f"console:{role}"]) as browser:
            hidden = await hidden_of(browser, process, "/console/runs")
            browser.cookies.set("boring_console", "t")
            comment = f"{who.identity} would have it in words."
            said = {**hidden, "token": "t", "thumb": "down", "by": "carl", "comment": comment}
            assert (await browser.post(address, data=said)).status_code == code
            if who.identity == "bob":
                assert "a peer" in (await browser.get(address)).text
    said = {one.given_by: one.source for one in await said_of(process, run_id)}
    assert said == {"ann": "operator", "bob": "peer", "uma": "user"}
    proposed = await rules(await process.database(), "acme", Wanted())
    assert {one.proposed_by for one in proposed} == {"ann", "uma"}
    assert await ratings_of(await process.database(), "acme", [run_id]) == {run_id: Rating(0, 3)}
    assert await ratings_of(await process.database(), "other", [run_id]) == {}
