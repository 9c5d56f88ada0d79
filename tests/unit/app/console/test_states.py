"""What the console tells of the state at each step."""

import html
import re
from typing import Any

import httpx
import pytest
from langgraph.types import Command

from app.console.plain_values import shown
from core.context import RunContext
from core.process import Process
from evals.scripted_model import Reply, ToolCall
from graphs import traced
from graphs.hierarchy import Team, create_hierarchy
from graphs.single import create_agent
from guardrails.approval import always
from memory.checkpoints import postgres_checkpointer
from observability.tracing import current_tracing
from tests.canaries import CANARIES, SENTENCES, left_in
from tests.graphs.conftest import speaking as speaking
from tests.unit.app.console.test_pages import browser as browser
from tests.unit.app.console.test_pages import page, run_id_of
from tests.unit.app.console.test_pages import process as process
from tools.contract import contract


async def steps_of(browser: httpx.AsyncClient, process: Process, thread: str) -> list[tuple[str, str]]:
    """Return the names of a run's spans as its page has them, each with the address that it leads to."""
    told = await page(browser, f"/runs/{await run_id_of(process, thread)}")
    return re.findall(r'<a href="/console(/runs/[^/"]+/spans/[0-9a-f]+)">([^<]+)</a>', told)


async def at(browser: httpx.AsyncClient, process: Process, thread: str, step: str, number: int = 0) -> str:
    known = {step, f"step {step}"}
    found = [path for path, name in await steps_of(browser, process, thread) if name in known]
    return found[number]


async def test_each_step_shows_what_it_changed_and_the_whole_state_after_it(
    browser: httpx.AsyncClient, process: Process
) -> None:
    planned = await page(browser, await at(browser, process, "uma", "plan"))
    changes, _, _ = planned.partition("State after it")
    assert "multiply" in changes
    assert "It goes on with execute." in changes
    executed = await at(browser, process, "uma", "execute")
    changes, _, after = (await page(browser, executed)).partition("State after it")
    assert "42&lt;script&gt;" in changes
    assert "from uma" not in changes
    assert "Show the whole state" in after
    _, _, after = (await page(browser, f"{executed}?state=1")).partition("State after it")
    for part in ("from uma", "42&lt;script&gt;", "&#34;step&#34;: 1", "run_id"):
        assert part in after, part
    assert "It is 42." not in after
    _, _, after = (await page(browser, f"{await at(browser, process, 'uma', 'respond')}?state=1")).partition(
        "State after it"
    )
    assert "It is 42." in after
    assert "<script>" not in planned + after


async def test_what_was_asked_and_answered_is_shown_at_calls_of_models_and_tools(
    browser: httpx.AsyncClient, process: Process
) -> None:
    calls = (("chat scripted", 0), ("chat scripted", 1), ("execute_tool multiply", 0))
    told = [await page(browser, await at(browser, process, "uma", *call)) for call in calls]
    parts = [one.partition("What was asked")[2].partition("What was answered") for one in told]
    (asked, _, planned), (shown, _, answered), (given, _, came) = parts
    for said, word in (
        (asked, "from uma"),
        (planned, "multiply"),
        (shown, "42&lt;script&gt;"),
        (answered, "It is 42."),
        (given, "&#34;a&#34;: 6"),
        (came, "42&lt;script&gt;"),
    ):
        assert word in said, word
    for said, word in ((asked, "multiply"), (planned, "from uma"), (shown, "It is 42."), (given, "42&lt;")):
        assert word not in said, word
    await (await postgres_checkpointer()).adelete_thread("uma")
    assert "pruned" in await page(browser, await at(browser, process, "uma", "chat scripted"))


@pytest.mark.parametrize("content", ["redacted", "full", "off"])
@pytest.mark.parametrize("by_tenant", [False, True])
async def test_content_is_shown_as_it_is_set_for_all_or_for_its_tenant(
    browser: httpx.AsyncClient, process: Process, speaking: Any, content: Any, *, by_tenant: bool
) -> None:
    async def look_up(text: str) -> str:
        """Look something up."""
        return f"found {text}"

    saver = await postgres_checkpointer()
    llm = await speaking([Reply(tool_calls=(ToolCall("look_up", {"text": SENTENCES}),)), SENTENCES])
    agent = create_agent(llm=llm, tools=[contract(look_up)], checkpointer=saver)
    asked: Any = {"messages": [("user", SENTENCES)]}
    set_as = ("content_of", {"local": content, "other": "full"}) if by_tenant else ("content", content)
    object.__setattr__(process.settings, *set_as)
    await agent.ainvoke(asked, {"configurable": {"thread_id": "private"}})
    await (await current_tracing()).flush()
    addresses = [path for path, _ in await steps_of(browser, process, "private")]
    told = [html.unescape(await page(browser, f"{path}?state=1")) for path in addresses]
    assert len(told) > 8
    left = {kind for one in told for kind in left_in(one)}
    assert left == (set(CANARIES) if content == "full" else set())
    assert any("[IBAN]" in one for one in told) == (content == "redacted")
    assert any("BORING_CONTENT is off" in one for one in told) == (content == "off")


@pytest.mark.parametrize("content", ["redacted", "full", "off"])
async def test_messages_that_a_span_holds_are_shown_one_by_one(
    browser: httpx.AsyncClient, process: Process, speaking: Any, content: Any
) -> None:
    object.__setattr__(process.settings, "span_content", True)
    object.__setattr__(process.settings, "content", content)
    llm, saver = await speaking(["To ada@example.org."]), await postgres_checkpointer()
    agent = create_agent(llm=llm, name="clerk", checkpointer=saver)
    asked: Any = {"messages": [("user", "From bob@example.org")]}
    await agent.ainvoke(asked, {"configurable": {"thread_id": "told"}})
    await (await current_tracing()).flush()
    for name in ("chat scripted", "invoke_agent clerk"):
        told = await page(browser, await at(browser, process, "told", name))
        asked_of, _, answered = told.partition("What was answered")
        assert "gen_ai.input" not in told
        assert (
            ("<code>user</code>" in asked_of) == ("<code>assistant</code>" in answered) == (content != "off")
        )
        assert ("From bob@example.org" in asked_of) == ("To ada@" in answered) == (content == "full")
        assert ("From [EMAIL]" in asked_of) == (content == "redacted")
        assert ("<code>system</code>" in asked_of) == (name.startswith("chat") and content != "off")


async def test_what_several_tenants_have_said_is_shown_as_the_strictest_setting_has_it(
    browser: httpx.AsyncClient, process: Process, speaking: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def let_in(*_: str) -> None:
        """As before threads belonged to tenants."""

    monkeypatch.setattr(traced, "check_tenant", let_in)
    object.__setattr__(process.settings, "content_of", {"local": "full", "other": "off"})
    agent = create_agent(llm=await speaking(["One.", "Two."]), checkpointer=await postgres_checkpointer())
    for tenant, shows in (("local", True), ("other", False)):
        asked: Any = {"messages": [("user", f"from {tenant}")]}
        whose = RunContext(tenant=tenant)
        await agent.ainvoke(asked, {"configurable": {"thread_id": "both"}}, context=whose)
        await (await current_tracing()).flush()
        told = await page(browser, await at(browser, process, "both", "chat scripted"))
        assert ("from local" in told) == shows
        assert ("BORING_CONTENT is off" in told) != shows


async def test_states_of_teams_side_by_side_are_told_apart(
    browser: httpx.AsyncClient, process: Process, speaking: Any
) -> None:
    teams = [
        Team(name, "Works.", create_agent(llm=await speaking([f"{name} is done."]), name=name))
        for name in ("left", "right")
    ]
    handed = Reply(tool_calls=tuple(ToolCall(team.name, {"task": team.name, "goal": "go"}) for team in teams))
    llm, saver = await speaking([handed, "Both done."]), await postgres_checkpointer()
    office = create_hierarchy(llm=llm, teams=teams, checkpointer=saver, name="office")
    asked: Any = {"messages": [("user", "Go")]}
    await office.ainvoke(asked, {"configurable": {"thread_id": "teams"}})
    await (await current_tracing()).flush()
    shown_of = {
        number: await page(browser, f"{await at(browser, process, 'teams', 'respond', number)}?state=1")
        for number in range(3)
    }
    ends = ["left is done.", "right is done.", "Both done."]
    assert sorted(end for end in ends for one in shown_of.values() if end in one) == sorted(
        [*ends, *ends[:2]]
    )  # the office has both reports in its own state, a team its own alone


async def test_a_state_that_was_pruned_or_never_came_is_said_to_be_so(
    browser: httpx.AsyncClient, process: Process, speaking: Any
) -> None:
    executed = await at(browser, process, "uma", "execute")
    saver = await postgres_checkpointer()
    await saver.adelete_thread("uma")
    assert "pruned" in await page(browser, f"{executed}?state=1")

    async def pay(amount: int) -> str:
        """Pay an amount."""
        return f"paid {amount}"

    llm = await speaking([Reply(tool_calls=(ToolCall("pay", {"amount": 5}),)), "Done."])
    agent = create_agent(llm=llm, tools=[contract(pay, approval=always)], checkpointer=saver)
    asked: Any = {"messages": [("user", "Pay")]}
    where: Any = {"configurable": {"thread_id": "waits"}}
    await agent.ainvoke(asked, where)
    await (await current_tracing()).flush()
    waiting = await page(browser, f"{await at(browser, process, 'waits', 'review')}?state=1")
    assert "asked of a person" in waiting
    assert "waited for a person" in waiting
    answer = {"decisions": [{"type": "approve"}], "by": "ann"}
    await agent.ainvoke(Command(resume=answer), where)
    await (await current_tracing()).flush()
    gone_on = await page(browser, f"{await at(browser, process, 'waits', 'review', 1)}?state=1")
    assert "waited for a person" not in gone_on
    assert "There is no such span" in await page(browser, f"{executed[:-16]}{'0' * 16}", 404)


@pytest.mark.parametrize("content", ["redacted", "full"])
def test_private_data_is_shown_only_where_content_is_set_to_be_full(content: Any) -> None:
    long = "x" * 3_990 + " ada@example.org " + "y" * 9_000
    told = shown("state", {"said": ["to ada@example.org", long], "password": "engine"}, content)
    assert ("ada@example.org" in told.text) == ("engine" in told.text) == (content == "full")
    assert ("[EMAIL]" in told.text) == (content == "redacted")
    assert told.is_cut
    assert "ada@" not in shown("state", long, "redacted").text


def test_a_state_of_any_size_and_depth_is_shown_in_part() -> None:
    deep: Any = []
    for _ in range(50):
        deep = [deep]
    wide = [[[["x" * 100] * 100] * 100] * 100] * 100
    for value in (deep, wide, "x" * 10_000_000, {"y" * 10_000: list(range(100_000))}):
        told = shown("state", value, "redacted")
        assert told.is_cut
        assert len(told.text) <= 20_000
    assert shown("state", {"a": [1, 2.5, None, True]}, "redacted").is_cut is False
