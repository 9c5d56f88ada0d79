"""What strangers name and say stands where it is told, and passes for no line of the command's own."""

import io
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from langchain_core.messages import HumanMessage
from langchain_openai import ChatOpenAI
from pydantic import SecretStr
from rich.console import Console

from app.events import Event, Waiting
from app.questions import Asked
from app.screen import PeopleScreen
from core.context import RunContext
from core.database import Database
from core.process import opened_process
from core.settings import Settings
from evals.scripted_model import Reply, ScriptedModel, ToolCall
from graphs.single import create_agent
from guardrails.approval import Level, over
from memory.checkpoints import postgres_checkpointer
from memory.rules import Scope
from memory.rules_proposing import NewRule, propose
from tests.commands import boring, environment, python
from tests.unit.app.test_approval_sweep import OVERDUE
from tools.contract import contract

FORGED = "x\nforged one\n  forged two"
ROLES = {"clerk": [FORGED]}
SERVER = """
from pathlib import Path
import uvicorn
from app.server import AgentServer, ServerOptions
from core.settings import load_settings

async def app(scope, receive, send): pass

told = ServerOptions(load_settings(), Path("none"), "127.0.0.1", 1, 1, reload=True, verbose=False)
AgentServer(uvicorn.Config(app), told, Path.cwd()).run()
"""


async def look(order: int) -> str:
    """Look up an order."""
    return f"order {order} {FORGED}"


async def fail(order: int) -> str:
    """Fail."""
    raise ValueError(f"order {order} {FORGED}")


async def pay(order: int) -> str:
    """Pay for an order."""
    return f"paid {order}"


@pytest.fixture
def env(postgres_url: str, tmp_path: Path) -> dict[str, str]:
    return environment(tmp_path, postgres_url, BORING_ROLES=json.dumps(ROLES), COLUMNS="400")


@pytest.fixture
async def waits(env: dict[str, str], tmp_path: Path) -> None:
    """A run whose calls say so, and of which one more waits for approval."""
    settings = Settings(database_url=SecretStr(env["DATABASE_URL"]), data_dir=tmp_path, cache_dir=tmp_path)
    turns = (("look", "fail", FORGED), ("pay",))
    script = [Reply(tool_calls=tuple(ToolCall(name, {"order": 7}) for name in names)) for names in turns]
    async with ScriptedModel(script) as model, opened_process(settings):
        llm = ChatOpenAI(
            base_url=model.base_url, api_key=SecretStr(model.api_key), model="scripted", max_retries=0
        )
        own = [contract(look, effect="read"), contract(fail, effect="read")]
        own.append(contract(pay, approval=over("order", 1, levels=[Level("clerk", expires_s=3600)])))
        agent = create_agent(llm=llm, tools=own, checkpointer=await postgres_checkpointer(), roles=ROLES)
        asked: Any = {"messages": [HumanMessage("Pay it")]}
        config: Any = {"configurable": {"thread_id": FORGED}}
        await agent.ainvoke(asked, config, context=RunContext(user=f"client {FORGED}"))


async def written(env: dict[str, str], *words: str) -> Any:
    import json  # noqa: PLC0415

    ended = await boring(*words, "--json", env=env)
    assert ended.code == 0, ended
    return json.loads(ended.out)


async def shown(env: dict[str, str], *words: str, code: int = 0) -> str:
    """Return what a command writes, in which no line is one of the strangers'."""
    ended = await boring(*words, env=env)
    out = ended.out + ended.err
    assert ended.code == code, ended
    assert "forged one" in out, ended
    assert forged(out) == []
    return out


def forged(out: str) -> list[str]:
    return re.findall(r"^ {0,3}forged.*", out, re.MULTILINE)


@pytest.mark.usefixtures("waits")
async def test_a_call_is_shown_with_what_it_said_apart_from_its_fields(env: dict[str, str]) -> None:
    over = [call for call in await written(env, "calls") if call["outcome"] is not None]
    assert sorted(call["tool"] for call in over) == ["fail", "look", FORGED]
    for call in over:
        out = await shown(env, "calls", call["call_id"])
        assert r"thread x\nforged one\n  forged two" in out
    (look,) = (call["call_id"] for call in over if call["tool"] == "look")
    assert "result\n    order 7 x\n    forged one\n      forged two\n" in await shown(env, "calls", look)


@pytest.mark.usefixtures("waits")
async def test_a_request_is_shown_with_all_names_in_a_line_each(env: dict[str, str]) -> None:
    (row,) = await written(env, "approvals")
    await shown(env, "approvals")
    out = await shown(env, "approvals", "show", row["id"])
    assert r"asked for by client x\nforged one\n  forged two" in out
    assert r"1 of x\nforged one\n  forged two; agreed: nobody yet" in out
    said = ("--with", FORGED, "--by", FORGED)
    assert (await boring("approvals", "reject", row["id"], *said, "--no-resume", env=env)).code == 0
    out = await shown(env, "approvals", "show", row["id"])
    assert "result\n    x\n    forged one\n      forged two\n" in out
    assert r"status denied by x\nforged one\n  forged two" in out
    assert r"reject by x\nforged one\n  forged two as clerk" in out


@pytest.mark.usefixtures("waits")
async def test_what_is_overdue_is_told_in_lines_of_its_own(database: Database, env: dict[str, str]) -> None:
    async with database.pool.connection() as connection:
        await connection.execute(OVERDUE)
    out = await shown(env, "approvals", "sweep", "--no-resume")
    assert r"boring resume x\nforged one\n  forged two" in out
    async with database.pool.connection() as connection:
        await connection.execute("update boring.run set graph = %s", (FORGED,))
    told = await shown(env, "approvals", "sweep", code=1)
    assert r"x\nforged one\n  forged two: The decision is recorded." in told


async def test_a_message_of_an_error_is_one_piece(env: dict[str, str]) -> None:
    assert "\n    forged one\n      forged two" in await shown(env, "index", f"/{FORGED}", code=2)


async def test_a_server_that_starts_anew_tells_its_errors_like_a_command(
    env: dict[str, str], tmp_path: Path
) -> None:
    name = "/%5B%2Fred%5Dx%0Aforged%1B%5B2J"
    env["DATABASE_URL"] = urlsplit(env["DATABASE_URL"])._replace(path=name).geturl()
    ended = await python(SERVER, env=env, cwd=tmp_path)
    assert "has no database [/red]x\n    forged\\u001b[2J. Create it" in ended.err


async def test_a_rule_is_shown_with_all_names_in_a_line_each(database: Database, env: dict[str, str]) -> None:
    scope = Scope(FORGED, FORGED, FORGED)
    rule = await propose(database, NewRule(scope, "key", "Say so.", "person", FORGED))
    whose = ("--tenant", FORGED)
    out = await shown(env, "rules", "show", str(rule.id), *whose)
    assert r"source person, by x\nforged one\n  forged two" in out
    said = ("--by", FORGED, "--why", FORGED)
    await shown(env, "rules", "activate", str(rule.id), *whose, *said)
    await shown(env, "rules", "show", str(rule.id), *whose)
    await shown(env, "rules", *whose)


async def test_a_question_is_asked_apart_from_the_commands_that_answer_it() -> None:
    async def waits() -> AsyncIterator[Event]:
        yield Waiting((Asked("q", "approval", f"May {FORGED} be called?", f'"{FORGED}"'),), "r")

    out = io.StringIO()
    await PeopleScreen(Console(file=out, width=200)).show(waits(), thread_id="t")
    assert out.getvalue().count("\n    forged one\n") == 2
    assert forged(out.getvalue()) == []
    assert "\n  boring resume t --answer approve\n" in out.getvalue()


async def test_a_file_that_is_left_out_is_told_in_a_line(env: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "papers"
    folder.mkdir()
    (folder / f"{FORGED}.pdf").write_bytes(b"no PDF")
    out = await shown(env, "index", str(folder))
    assert "0 indexed" in out
