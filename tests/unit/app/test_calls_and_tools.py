"""`boring calls` and `boring tools` on what a real run has left."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

import pytest
import typer
from langchain_core.messages import HumanMessage
from langchain_openai import ChatOpenAI
from langgraph.types import Command
from pydantic import SecretStr

from app.calls import EndedAs
from app.since import time_span
from core.context import RunContext
from core.process import opened_process
from core.settings import Settings
from evals.scripted_model import Reply, ScriptedModel, ToolCall
from graphs.single import create_agent
from guardrails.approval import always
from memory.checkpoints import postgres_checkpointer
from tests.commands import boring as command
from tests.commands import environment
from tools.breaker_table import BreakerTable
from tools.contract import contract
from tools.records import Ended

CONFIG: Any = {"configurable": {"thread_id": "t"}}
HOSTILE = "[bold]x[/nope] \x1b[31m\u202e"
LONG = "line [red]one[/red]\n" * 500


async def look(order: int) -> str:
    """Look up an order."""
    return f"{LONG}order {order}\x1b]0;owned\x07"


async def peek(order: int) -> str:
    """Look up what somebody has to agree to."""
    return f"secret {order}"


async def pay(order: int) -> str:
    """Pay for an order."""
    return f"paid {order}"


@pytest.fixture
async def env(postgres_url: str, tmp_path: Path) -> dict[str, str]:
    """A run with a read, an approved payment and a tool that does not exist; and a breaker that is open."""
    settings = Settings(database_url=SecretStr(postgres_url), data_dir=tmp_path, cache_dir=tmp_path)
    first = (ToolCall("look", {"order": 7}), ToolCall(HOSTILE, {"a": 1}))
    second = (ToolCall("pay", {"order": 7}), ToolCall("peek", {"order": 7}))
    script = [Reply(tool_calls=first), Reply(tool_calls=second), "Paid."]
    async with ScriptedModel(script) as model, opened_process(settings) as process:
        llm = ChatOpenAI(
            base_url=model.base_url, api_key=SecretStr(model.api_key), model="scripted", max_retries=0
        )
        own = [contract(look, effect="read"), contract(pay, approval=always)]
        own.append(contract(peek, effect="read", approval=always))
        agent = create_agent(llm=llm, tools=own, checkpointer=await postgres_checkpointer())
        context = RunContext(user="clerk")
        asked: Any = {"messages": [HumanMessage("Pay it")]}
        waiting = await agent.ainvoke(asked, CONFIG, context=context)
        agreed = {"decisions": [{"type": "approve"}], "by": "boss"}
        answers = {one.id: agreed for one in waiting["__interrupt__"]}
        assert len(answers) == 2
        await agent.ainvoke(Command(resume=answers), CONFIG, context=context)
        for _ in range(5):
            await BreakerTable(await process.database()).failed("tool:look", "HTTP 503")
    return environment(tmp_path, postgres_url, COLUMNS="160")


async def boring(env: dict[str, str], *words: str) -> tuple[int, str]:
    ended = await command(*words, env=env)
    return ended.code, ended.out + ended.err


async def written(env: dict[str, str], *words: str) -> Any:
    code, output = await boring(env, *words, "--json")
    assert code == 0, output
    return json.loads(output)


async def test_the_tools_of_the_agent_and_of_the_log_are_shown_with_how_they_do(env: dict[str, str]) -> None:
    rows = {row["tool"]: row for row in await written(env, "tools", "--since", "1h")}
    assert [*rows][:4] == ["search_documents", "calculator", "current_time", "web_fetch"]
    assert [*rows][4:] == sorted([HOSTILE, "look", "pay", "peek"])
    calculator, look, ghost = rows["calculator"], rows["look"], rows[HOSTILE]
    assert (calculator["effect"], calculator["calls"], calculator["p50_ms"]) == ("read", 0, None)
    assert calculator["timeout_s"] > 0
    assert (look["effect"], look["timeout_s"], look["calls"], look["error_rate"]) == ("read", None, 1, 0.0)
    assert look["p50_ms"] == look["p95_ms"] > 0
    assert (look["breaker"]["state"], look["breaker"]["last_error"]) == ("open", "HTTP 503")
    assert (ghost["effect"], ghost["calls"], ghost["runs"]) == (None, 1, 0)
    assert rows["pay"]["effect"] == "unsafe"
    code, output = await boring(env, "tools")
    assert code == 0
    assert "open, tried again in" in output
    assert r"[bold]x[/nope] \u001b[31m\u202e" in output
    assert "\x1b" not in output


async def test_calls_are_listed_narrowed_and_shown_as_what_they_are(env: dict[str, str]) -> None:
    whole = await written(env, "calls")
    assert [call["started_at"] for call in whole] == sorted((c["started_at"] for c in whole), reverse=True)
    assert len(await written(env, "calls", "--limit", "2")) == 2
    (ghost,) = await written(env, "calls", "--outcome", "unknown_tool", "--thread", "t", "--since", "1h")
    assert ghost["tool"] == HOSTILE
    assert await written(env, "calls", "--run", "other") == []
    assert len(await written(env, "calls", "--run", ghost["run_id"])) == 4
    code, output = await boring(env, "calls")
    assert code == 0
    assert r"[bold]x[/nope] \u001b[31m\u202e" in output
    assert [call["call_id"] for call in whole if call["call_id"] not in output] == []
    assert "\x1b" not in output


async def test_one_call_is_shown_whole(env: dict[str, str]) -> None:
    (pay,) = await written(env, "calls", "--tool", "pay")
    shown = await written(env, "calls", pay["call_id"])
    assert (shown["outcome"], shown["result"], shown["arguments"]) == ("ok", "paid 7", {"order": 7})
    assert (shown["journal"]["outcome"], shown["journal"]["resolved_by"]) == ("ok", None)
    (question,) = shown["questions"]
    assert (question["kind"], question["answered_by"]) == ("approval", "boss")
    assert question["answer"]["decisions"][0]["type"] == "approve"
    (look,) = await written(env, "calls", "--tool", "look")
    code, output = await boring(env, "calls", look["call_id"])
    assert code == 0
    assert output.count("line [red]one[/red]\n") == 500
    assert r"\u001b]0;owned\u0007" in output
    assert "journal" not in output


async def test_a_read_that_was_approved_is_shown_with_its_question(env: dict[str, str]) -> None:
    (peek,) = await written(env, "calls", "--tool", "peek")
    shown = await written(env, "calls", peek["call_id"])
    assert (shown["approved_by"], shown["journal"]) == ("boss", None)
    assert [question["answered_by"] for question in shown["questions"]] == ["boss"]


async def test_a_call_that_there_is_not_is_told(env: dict[str, str]) -> None:
    code, output = await boring(env, "calls", "[/no]")
    assert code == 2
    assert "There is no such call '[/no]'." in output


def test_every_end_of_a_call_can_be_looked_for() -> None:
    assert [one.value for one in EndedAs] == list(get_args(Ended))


@pytest.mark.parametrize(
    ("text", "span"), [("90s", timedelta(seconds=90)), ("1h", timedelta(hours=1)), ("2w", timedelta(days=14))]
)
def test_a_length_of_time_is_read(text: str, span: timedelta) -> None:
    assert time_span(text) == span


@pytest.mark.parametrize("text", ["", "0s", "h", "1", "1y", "-1h", "999999w", "1h30m", "²d"])
def test_what_is_no_length_of_time_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="is no length of time"):
        time_span(text)
