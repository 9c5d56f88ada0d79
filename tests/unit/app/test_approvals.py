"""`boring approvals` on a run that waits: found, shown, decided, gone on with."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from evals.scripted_model import Reply, ScriptedModel, ToolCall

BORING = str(Path(sys.executable).with_name("boring"))
SHOP = """
from pathlib import Path

from graphs.single import create_agent
from guardrails.approval import Level, over
from tools.contract import contract


def pay(amount: int) -> str:
    '''Pay an amount.'''
    with (Path(__file__).parent / "ledger").open("a") as ledger:
        ledger.write(f"{amount}\\n")
    return f"paid {amount}"


levels = [Level("clerk"), Level("manager", quorum=2, expires_s=3600)]
graph = create_agent(tools=[contract(pay, approval=over("amount", 100, levels=levels))], name="shop")
"""


class Desk:
    """A folder with an agent of its own, and `boring` in it."""

    def __init__(self, folder: Path, env: dict[str, str], url: str) -> None:
        self.folder, self.env, self.url = folder, env, url

    async def boring(self, *words: str, code: int = 0) -> str:
        ended = await asyncio.create_subprocess_exec(
            *(BORING, *words),
            cwd=self.folder,
            env=self.env,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await ended.communicate()
        assert ended.returncode == code, (out.decode(), err.decode())
        return out.decode() + err.decode()

    async def told(self, *words: str) -> Any:
        return json.loads(await self.boring("approvals", *words, "--json"))

    def paid(self) -> list[str]:
        ledger = self.folder / "ledger"
        return ledger.read_text().split() if ledger.exists() else []


@pytest.fixture
async def desk(postgres_url: str, tmp_path: Path) -> AsyncIterator[Desk]:
    (tmp_path / "shop.py").write_text(SHOP)
    (tmp_path / "langgraph.json").write_text(json.dumps({"graphs": {"shop": "shop:graph"}}))
    roles = {"clerk": ["carl"], "manager": ["ann", "bob", "eve"]}
    script = [Reply(tool_calls=(ToolCall("pay", {"amount": 500}),)), "It is paid."]
    async with ScriptedModel(script) as model:
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "DATABASE_URL": postgres_url,
            "OPENAI_BASE_URL": model.base_url,
            "OPENAI_API_KEY": model.api_key,
            "BORING_MODEL": "scripted",
            "BORING_DATA_DIR": str(tmp_path / "data"),
            "BORING_ROLES": json.dumps(roles),
        }
        desk = Desk(tmp_path, env, postgres_url)
        await desk.boring("ask", "Pay 500", "--graph", "shop", "--thread", "rent", code=5)
        yield desk


async def test_a_request_is_found_shown_decided_and_its_run_goes_on(desk: Desk) -> None:
    (row,) = await desk.told()
    name = row["id"][:8]
    assert (row["tool"], row["arguments"], row["status"]) == ("pay", {"amount": 500}, "open")
    listed = await desk.boring("approvals")
    assert listed.splitlines()[1].split("\t")[2:] == [
        *("pay", '{"amount": 500}', "local", "waits for clerk", "rent")
    ]
    assert "bob has none of the roles" in await desk.boring(
        "approvals", "approve", name, "--by", "bob", code=2
    )
    assert await desk.boring("approvals", "approve", name, "--by", "carl") == (
        f"{name} waits for manager (0 of 2).\n"
    )
    assert "is about other arguments" in await desk.boring(
        "approvals", "approve", name, "--by", "ann", "--hash", "abc", code=2
    )
    shown = await desk.boring("approvals", "show", name)
    assert "level clerk (agreed): 1 of carl; agreed: carl" in shown
    assert "approve by carl as clerk" in shown
    words = ("approvals", "approve", name, "--hash", row["arguments_hash"][:12], "--by")
    async with asyncio.TaskGroup() as group:  # two processes at the same moment
        pressed = [group.create_task(desk.boring(*words, who)) for who in ("ann", "bob")]
    assert sorted("It is paid." in task.result() for task in pressed) == [False, True]
    assert desk.paid() == ["500"]
    assert await desk.boring("approvals") == "Nothing waits for approval.\n"
    assert (await desk.told("--all"))[0]["status"] == "approved"
    verified = await desk.told("verify")
    assert (verified["whole"], verified["rows"]) == (True, 5)


async def test_a_rejection_with_its_reason_ends_the_wait(desk: Desk) -> None:
    (row,) = await desk.told()
    words = ("approvals", "reject", row["id"], "--by", "carl", "--with", "too dear")
    assert "It is paid." in await desk.boring(*words)  # what the scripted model says to anything
    assert (desk.paid(), (await desk.told("--all"))[0]["result"]) == ([], "too dear")


async def test_an_edit_asks_the_levels_again_and_an_answer_needs_no_tool(desk: Desk) -> None:
    (row,) = await desk.told()
    name = row["id"]
    assert "is no JSON" in await desk.boring("approvals", "edit", name, "--args", "{", code=2)
    assert "expected a JSON object" in await desk.boring("approvals", "edit", name, "--args", "[]", code=2)
    words = ("edit", name, "--by", "carl", "--args", '{"amount": 400}')
    await desk.boring("approvals", *words, code=5)
    shown = await desk.told("show", name)
    assert (shown["arguments"], [one["event"] for one in shown["audit"]]) == (
        {"amount": 400},
        ["request", "edit", "renew"],
    )
    told = await desk.told("respond", name, "--by", "ann", "--with", "done by hand", "--no-resume")
    assert (told["status"], desk.paid()) == ("answered", [])
    assert "It is paid." in await desk.boring("resume", "rent", "--graph", "shop")
    assert desk.paid() == []


async def test_what_is_overdue_is_treated_and_how_to_go_on_is_told(desk: Desk) -> None:
    assert await desk.boring("approvals", "sweep") == "Nothing is overdue.\n"
    (row,) = await desk.told()
    await desk.boring("approvals", "approve", row["id"], "--by", "carl")
    later = 'replace(chain::text, \'"due_at": "2\', \'"due_at": "1\')::jsonb'
    with psycopg.connect(desk.url) as connection:
        connection.execute(f"update boring.approval set expires_at = now(), chain = {later}")  # noqa: S608  # pyright: ignore[reportArgumentType]
    assert "boring resume rent" in await desk.boring("approvals", "sweep")
    assert (await desk.told("--all"))[0]["settled_by"] == "expiry"


async def test_a_request_that_there_is_not_is_named(desk: Desk) -> None:
    assert "There is no request 'f_'" in await desk.boring("approvals", "show", "f_", code=2)


async def test_a_record_that_was_tampered_with_ends_with_code_1(desk: Desk) -> None:
    with psycopg.connect(desk.url) as connection:
        connection.execute("alter table boring.audit disable trigger audit_only_grows")
        connection.execute("update boring.audit set who = 'mallory'")
    told = await desk.boring("approvals", "verify", code=1)
    assert told == "The audit record is broken at row 1: row 1 was changed.\n"
