"""`boring runs`, `boring trace` and `boring stats` on what real runs have left."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from core.context import RunContext
from core.process import opened_process
from core.settings import Settings
from evals.scripted_model import Reply, ScriptedModel, ToolCall
from graphs.single import create_agent
from memory.checkpoints import postgres_checkpointer
from tests.commands import boring as command
from tools.contract import contract

PRICES = '{"scripted": {"input": 1, "output": 10}}'
HOSTILE = "[bold]6 times 7?[/nope] \x1b[31m\u202e"


async def multiply(a: int, b: int) -> str:
    """Multiply two numbers."""
    return str(a * b)


@pytest.fixture
async def env(postgres_url: str, tmp_path: Path) -> dict[str, str]:
    """A run that calls a tool, under a price of its own, and one of a model that has none."""
    prices: Any = json.loads(PRICES)
    settings = Settings(
        database_url=SecretStr(postgres_url),
        data_dir=tmp_path,
        cache_dir=tmp_path,
        prices=prices,
        span_content=True,
    )
    script = [Reply(tool_calls=(ToolCall("multiply", {"a": 6, "b": 7}),)), "It is 42.", "Good morning."]
    async with ScriptedModel(script) as model, opened_process(settings):
        saver = await postgres_checkpointer()
        for name, question in (("scripted", HOSTILE), ("other", "Hello")):
            llm = ChatOpenAI(base_url=model.base_url, api_key=SecretStr(model.api_key), model=name)
            agent = create_agent(llm=llm, tools=[contract(multiply)], name=f"by_{name}", checkpointer=saver)
            asked: Any = {"messages": [("user", question)]}
            await agent.ainvoke(
                asked,
                {"configurable": {"thread_id": name}},
                context=RunContext(user=f"user of {name}"),
            )
    return {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "DATABASE_URL": postgres_url, "COLUMNS": "200"}


async def test_a_narrow_list_of_runs_can_be_read_and_one_in_a_pipe_is_whole(env: dict[str, str]) -> None:
    _, out, _ = await command("runs", env=env | {"COLUMNS": "79"})
    head, *rows = out.splitlines()
    assert head.split() == ["began", "agent", "status", "seconds", "tokens", "cost", "run"]
    assert "…" not in out
    short = rows[0].split()[-1]
    assert "by_other was asked: Hello" in (await command("why", short, env=env))[1]
    wide = {name: held for name, held in env.items() if name != "COLUMNS"}
    _, out, _ = await command("runs", env=wide)
    _, listed, _ = await command("runs", "--json", env=env)
    assert all(f"{one['question']:.5} " and one["run_id"] in out for one in json.loads(listed))


async def test_a_status_that_there_is_not_is_refused(env: dict[str, str]) -> None:
    code, out, error = await command("runs", "--status", "weird", env=env)
    assert (code, out) == (2, "")
    assert "'running', 'interrupted', 'finished', 'stopped', 'failed'" in " ".join(error.split())


async def test_runs_are_listed_with_what_they_took_and_an_unknown_price_is_no_zero(
    env: dict[str, str],
) -> None:
    _, out, _ = await command("runs", "--json", env=env)
    other, scripted = json.loads(out)
    assert (other["graph"], other["cost_usd"], other["model_calls"]) == ("by_other", None, 1)
    spent = scripted["input_tokens"] * 1e-6 + scripted["output_tokens"] * 1e-5
    assert float(scripted["cost_usd"]) == pytest.approx(spent)
    assert scripted["model_calls"] == 2
    _, out, _ = await command("runs", env=env)
    lines = out.splitlines()
    assert "unknown" in lines[1]
    assert "\\x1b[31m" in lines[2] or "\x1b" not in lines[2]
    assert "$0.00" in lines[2]
    _, out, _ = await command("runs", "--user", "user of other", "--json", env=env)
    assert [one["thread_id"] for one in json.loads(out)] == ["other"]


async def test_a_trace_is_a_tree_with_times_tokens_and_cost(env: dict[str, str]) -> None:
    _, out, _ = await command("runs", "--agent", "by_scripted", "--json", env=env)
    [one] = json.loads(out)
    _, out, _ = await command("trace", one["run_id"][:8], env=env)
    tree = [re.sub(r"^[^a-z]*|  .*", "", line) for line in out.splitlines()[2:]]
    assert tree == [
        "invoke_agent by_scripted",
        "step receive",
        "step plan",
        "chat scripted",
        "step execute",
        "execute_tool multiply",
        "step observe",
        "step plan",
        "chat scripted",
        "step respond",
    ]
    assert " in, " in next(line for line in out.splitlines() if "chat scripted" in line)
    _, out, _ = await command("trace", one["run_id"], "--json", env=env)
    assert len(json.loads(out)["spans"]) == len(tree)


async def test_a_run_that_there_is_not_is_said_so(env: dict[str, str]) -> None:
    code, _, err = await command("trace", "nonsense", env=env)
    assert code == 2
    assert "There is no run 'nonsense'. List the runs with: boring runs" in err


async def test_stats_tell_calls_errors_and_times(env: dict[str, str]) -> None:
    _, out, _ = await command("stats", "--json", env=env)
    found = {(one["operation"], one["name"]): one for one in json.loads(out)}
    assert found["execute_tool", "multiply"]["calls"] == 1
    assert found["run_step", "plan"]["calls"] == 3
    assert found["chat", "other"]["cost_usd"] is None
    assert 0 < found["chat", "scripted"]["p50_ms"] <= found["chat", "scripted"]["p99_ms"]
    _, out, _ = await command("stats", env=env)
    assert "multiply" in out


async def test_costs_say_how_many_calls_they_do_not_know_the_price_of(env: dict[str, str]) -> None:
    code, out, _ = await command("costs", env=env)
    lines = [re.split(r"  +", line.strip()) for line in out.splitlines()]
    assert (code, lines[0]) == (0, ["model", "calls", "tokens in", "tokens out", "cost"])
    assert [(line[0], line[1], line[-1][:5]) for line in lines[1:3]] == [
        ("scripted", "2", "$0.00"),
        ("other", "1", "unkno"),
    ]
    assert lines[3][:2] == ["total", "3"]
    assert re.fullmatch(r"\$0\.00\d+ \+ 1 unknown", lines[3][-1])
    _, out, _ = await command("costs", "--by", "user", "--since", "1h", "--json", env=env)
    told = json.loads(out)
    assert [(one["name"], one["tenant"], one["unpriced"]) for one in told["rows"]] == [
        ("user of scripted", "local", 0),
        ("user of other", "local", 1),
    ]
    assert (told["total"]["calls"], told["rows"][1]["cost_usd"]) == (3, None)
    _, out, _ = await command("costs", "--by", "agent", env=env)
    assert [re.split(r"  +", line.strip())[:2] for line in out.splitlines()[:2]] == [
        ["agent", "tenant"],
        ["by_scripted", "local"],
    ]
    assert "No model" in (await command("costs", "--by", "agent", "--tenant", "acme", env=env))[1]
    code, _, err = await command("costs", "--by", "colour", env=env)
    assert (code, "'colour' is not one of" in err) == (2, True)


async def test_what_was_asked_and_answered_is_shown_where_it_is_asked_for(env: dict[str, str]) -> None:
    _, out, _ = await command("runs", "--agent", "by_scripted", "--json", env=env)
    [run] = json.loads(out)
    code, tree, _ = await command("trace", run["run_id"], env=env)
    assert code == 0
    assert "It is 42." not in tree
    assert '"user"' not in (await command("trace", run["run_id"], "--json", env=env))[1]
    code, told, _ = await command("trace", run["run_id"], "--content", env=env)
    assert code == 0
    for line in (
        "user: [bold]6 times 7?[/nope] \\u001b[31m\\u202e",
        'assistant: multiply {"a":6,"b":7}',
        'arguments: {"a":6,"b":7}',
        "result: 42",
        "tool: 42",
        "assistant: It is 42.",
    ):
        assert line in told, line
    assert "system: " in told
    as_json = json.loads((await command("trace", run["run_id"], "--content", "--json", env=env))[1])
    asked = [one["attributes"].get("gen_ai.input.messages") for one in as_json["spans"]]
    assert len([one for one in asked if one]) == 3
