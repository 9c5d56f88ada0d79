"""`boring approvals sweep` settles what is overdue and goes on with the runs; what overtakes a request."""

import asyncio
import json
from typing import LiteralString

import psycopg
import pytest

from evals.scripted_model import Reply, ScriptedModel
from tests.unit.app.approval_desk import Desk

OVERDUE: LiteralString = """
update boring.approval set expires_at = now(),
    chain = replace(chain::text, '"due_at": "2', '"due_at": "1')::jsonb where settled_at is null
"""


async def overdue(desk: Desk) -> None:
    """Let the time of the managers run out."""
    (row,) = await desk.told()
    await desk.boring("approvals", "approve", row["id"], "--by", "carl")
    with psycopg.connect(desk.url) as connection:
        connection.execute(OVERDUE)


async def test_what_is_settled_by_time_goes_on_and_only_once(desk: Desk) -> None:
    assert await desk.boring("approvals", "sweep") == "Nothing is overdue.\n"
    await overdue(desk)
    async with asyncio.TaskGroup() as group:  # two processes at the same moment
        swept = [group.create_task(desk.boring("approvals", "sweep")) for _ in range(2)]
    assert sorted("It is paid." in task.result() for task in swept) == [False, True]
    (row,) = await desk.told("--all")
    assert (row["settled_by"], row["resumed_by"], desk.asked()) == ("expiry", "expiry", 2)
    assert [one["event"] for one in (await desk.told("show", row["id"]))["audit"]] == [
        *("request", "approve", "expire", "resume")
    ]
    assert await desk.boring("approvals", "sweep") == "Nothing is overdue.\n"
    assert desk.asked() == 2


async def test_without_resume_it_tells_how_to_go_on(desk: Desk) -> None:
    await overdue(desk)
    assert "boring resume rent" in await desk.boring("approvals", "sweep", "--no-resume")
    (row,) = await desk.told("--all")
    assert (row["settled_by"], row["resumed_at"], desk.asked()) == ("expiry", None, 1)


async def test_a_run_that_a_killed_sweeper_left_is_gone_on_with(desk: Desk) -> None:
    await overdue(desk)
    await desk.boring("approvals", "sweep", "--no-resume")  # it has settled, and ends before it resumes
    assert "It is paid." in await desk.boring("approvals", "sweep")
    (row,) = await desk.told("--all")
    assert (row["resumed_by"], desk.asked()) == ("expiry", 2)


async def test_a_run_that_is_left_and_was_followed_by_a_new_message_stays_so(desk: Desk) -> None:
    await overdue(desk)
    await desk.boring("approvals", "sweep", "--no-resume")
    await desk.boring("ask", "Never mind", "--graph", "shop", "--thread", "rent")
    assert await desk.boring("approvals", "sweep") == "Nothing is overdue.\n"


async def test_a_resumed_run_that_failed_makes_the_exit_code_tell(desk: Desk) -> None:
    await overdue(desk)
    async with ScriptedModel([Reply(status=400)] * 9) as broken:
        desk.env["OPENAI_BASE_URL"] = broken.base_url
        await desk.boring("approvals", "sweep", code=1)
    assert (await desk.told("--all"))[0]["settled_by"] == "expiry"


async def test_a_run_that_can_not_go_on_here_is_told_of_and_left_to_others(desk: Desk) -> None:
    await overdue(desk)
    (desk.folder / "langgraph.json").unlink()
    told = await desk.boring("approvals", "sweep", code=1)
    assert "rent: The decision is recorded. The run is one of the graph 'shop'" in told
    assert (await desk.told("--all"))[0]["resumed_at"] is None


async def test_a_pipe_gets_a_line_for_what_was_swept_and_one_for_each_run(desk: Desk) -> None:
    await overdue(desk)
    swept, went_on = (await desk.boring("approvals", "sweep", "--json")).splitlines()
    assert [row["status"] for row in json.loads(swept)] == ["denied"]
    assert json.loads(went_on)["answer"] == "It is paid."


@pytest.mark.parametrize("words", [("approvals",), ("approvals", "--all", "--json")])
async def test_what_a_new_message_overtook_is_closed_in_the_list(desk: Desk, words: tuple[str, ...]) -> None:
    (row,) = await desk.told()
    await desk.boring("ask", "Never mind", "--graph", "shop", "--thread", "rent")
    told = await desk.boring(*words)
    if "--all" not in words:
        assert told == "Nothing waits for approval.\n"
    assert (await desk.told("--all"))[0]["status"] == "denied"
    refused = await desk.boring("approvals", "approve", row["id"], "--by", "carl", code=2)
    assert "was overtaken by a new message in the thread rent" in refused
    assert (await desk.told("verify"))["whole"]
