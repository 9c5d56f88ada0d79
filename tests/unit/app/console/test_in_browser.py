"""The console in a real browser: a run approved by a click, no script of others, no serious fault of access.

Screenshots of each page are kept in the folder that BORING_SCREENSHOTS names.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from psycopg import AsyncConnection

from tests.unit.app.approval_desk import Desk

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SHOTS = os.environ.get("BORING_SCREENSHOTS")
PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 900}
HOSTILE = "<script>window.planted = 1</script><img src=x onerror='window.planted = 1'>"
PATHS = (
    "/runs",
    "/approvals",
    "/charts",
    "/threads",
    "/breakers",
    "/memory?user=local",
    "/evals",
    "/runs/nonsense",
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed on this machine"),
]


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    from playwright.async_api import async_playwright  # noqa: PLC0415 - takes long, and the ordinary run has no browser

    async with async_playwright() as driver:
        started = await driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        await started.close()


async def opened(browser: Browser, viewport: Any = DESKTOP, scheme: Any = "light") -> tuple[Page, list[str]]:
    """Return a page, and the list that its faults are added to."""
    page = await browser.new_page(viewport=viewport, color_scheme=scheme)
    faults: list[str] = []
    page.on("console", lambda told: faults.append(told.text) if told.type == "error" else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    return page, faults


async def looked_at(page: Page, name: str) -> list[str]:
    """Keep a picture of a page; return what axe-core finds serious in it."""
    if SHOTS:
        await page.screenshot(path=Path(SHOTS, f"{name}.png"), full_page=True)
    from axe_playwright_python.async_playwright import Axe  # noqa: PLC0415 - as above

    found = await Axe().run(page)
    return [
        f"{name}: {one['id']}: {one['nodes'][0]['html'][:200]}"
        for one in found.response["violations"]
        if one["impact"] in {"serious", "critical"}
    ]


def named(path: str) -> str:
    return path.strip("/").partition("?")[0].replace("/", "-")


async def test_a_run_is_approved_by_a_click_and_seen_to_its_end(
    desk: Desk, console: str, browser: Browser
) -> None:
    page, faults = await opened(browser)
    await desk.boring("approvals", "approve", (await desk.told())[0]["id"], "--by", "carl")
    await page.goto(f"{console}/approvals")
    await page.get_by_role("link", name="pay").click()
    serious = await looked_at(page, "approval")
    for who in ("ann", "bob"):
        await page.get_by_label("Who decides").fill(who)
        await page.get_by_role("button", name="Approve").click()
    await page.locator("main .facts .status.finished").wait_for(timeout=60_000)
    assert desk.paid() == ["500"]
    await page.get_by_text("step respond").wait_for()  # of the page that follows the run by itself
    serious += await looked_at(page, "run")
    await page.get_by_role("link", name="step execute").last.click()
    await page.get_by_role("link", name="Show the whole state").click()
    assert "paid 500" in await page.locator("main").inner_text()
    serious += await looked_at(page, "state")
    await page.get_by_role("navigation", name="Around it").get_by_role("link").first.click()
    await page.get_by_role("link", name="chat scripted").last.click()
    assert "It is paid." in await page.locator("main").inner_text()
    serious += await looked_at(page, "call")
    assert (serious, faults) == ([], [])


@pytest.mark.parametrize(
    ("name", "viewport", "scheme"), [("desk", DESKTOP, "dark"), ("phone", PHONE, "light")]
)
async def test_every_page_can_be_used_by_everybody_and_runs_nothing_planted(
    desk: Desk, console: str, browser: Browser, name: str, viewport: Any, scheme: str
) -> None:
    await desk.boring("ask", f"Pay {HOSTILE}", "--graph", "till", "--thread", "planted", code=5)
    page, faults = await opened(browser, viewport, scheme)
    serious: list[str] = []
    await page.goto(f"{console}/runs?thread=planted")
    await page.get_by_role("row").nth(1).get_by_role("link").click()
    await page.get_by_label("Thumbs down").check()
    await page.get_by_label("Why", exact=True).fill(HOSTILE)
    await page.get_by_role("button", name="Rate").click()
    assert HOSTILE in await page.get_by_role("region", name="What was said of it").inner_text()
    run = page.url.removeprefix(console).partition("#")[0]
    for path in (*PATHS, run):
        await page.goto(f"{console}{path}")
        serious += await looked_at(page, f"{name}-{'waiting' if path == run else named(path)}")
        assert await page.evaluate("window.planted") is None
        wider = await page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert wider <= 0, f"{path} is {wider} pixels wider than the screen"
    assert HOSTILE in await page.locator(".question").inner_text()
    assert await page.get_by_label("Why", exact=True).input_value() == HOSTILE
    await page.get_by_role("link", name="step plan").click()
    await page.get_by_role("link", name="Show the whole state").click()
    assert "window.planted" in await page.locator("main").inner_text()
    serious += await looked_at(page, f"{name}-state")
    assert await page.evaluate("window.planted") is None
    assert serious == []
    assert [fault for fault in faults if "404" not in fault] == []


async def test_a_page_that_follows_its_run_leaves_the_keyboard_where_it_is(
    desk: Desk, console: str, browser: Browser
) -> None:
    page, faults = await opened(browser, PHONE)
    await page.goto(f"{console}/runs")
    await page.get_by_role("row").nth(1).get_by_role("link").click()
    await page.get_by_role("heading", name="Decisions").wait_for()
    async with await AsyncConnection.connect(desk.url, autocommit=True) as connection:
        await connection.execute("update boring.run set status = 'running'")
        await page.reload()
        await page.get_by_role("link", name="step plan").focus()
        scrolled = "document.querySelector('.scroll').scrollLeft"
        await page.evaluate(f"{scrolled} = 40")
        await connection.execute("update boring.run set question = 'Another one'")
        await page.get_by_text("Another one").wait_for()
    assert await page.evaluate("document.activeElement.textContent") == "step plan"
    assert await page.evaluate(scrolled) == 40
    assert faults == []
