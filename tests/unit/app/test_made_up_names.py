"""What is told of tools whose names a model has made up."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from core.process import opened_process
from core.settings import Settings
from evals.scripted_model import Reply, ScriptedModel, ToolCall
from graphs.single import create_agent
from memory.checkpoints import postgres_checkpointer
from observability.metrics import process_metrics
from tests.commands import boring as command
from tools.contract import contract

MADE_UP = [f"made_up_{number}" for number in range(300)]


async def multiply(a: int, b: int) -> str:
    """Multiply two numbers."""
    return str(a * b)


async def divide(a: int, b: int) -> str:
    """Divide two numbers."""
    return str(a / b)


@pytest.fixture
async def env(postgres_url: str, tmp_path: Path) -> dict[str, str]:
    """A run that calls made-up tools, first of all, and then a real one."""
    settings = Settings(
        database_url=SecretStr(postgres_url), data_dir=tmp_path, cache_dir=tmp_path, metrics_port=0
    )
    calls = (
        ["answer"],
        ["x, multiply, y", 'say "hi"'],
        MADE_UP,
        ["multiply", "answer"],
    )
    script = [
        *(Reply(tool_calls=tuple(ToolCall(name, {"a": 6, "b": 7}) for name in names)) for names in calls),
        "It is 42.",
    ]
    process_metrics.cache_clear()
    async with ScriptedModel(script) as model, opened_process(settings):
        llm = ChatOpenAI(base_url=model.base_url, api_key=SecretStr(model.api_key), model="scripted")
        tools = [contract(multiply), contract(divide)]
        agent = create_agent(llm=llm, tools=tools, name="clerk", checkpointer=await postgres_checkpointer())
        asked: Any = {"messages": [("user", "6 * 7?")]}
        await agent.ainvoke(asked, {"configurable": {"thread_id": "t"}})
    return {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "DATABASE_URL": postgres_url, "COLUMNS": "200"}


async def test_a_call_of_a_tool_named_answer_is_told_as_no_answer(env: dict[str, str]) -> None:
    [run] = json.loads((await command("runs", "--json", env=env)).out)
    out = (await command("why", run["run_id"], env={**env, "COLUMNS": "9999"})).out
    planned = [line.split("clerk: ")[1] for line in out.splitlines() if "In step" in line]
    others = ("and not", "multiply, divide and open_result.")
    assert planned[0] == " ".join(('In step 1 scripted planned to call "answer",', *others))
    made_up = r'"x, multiply, y", "say \"hi\"",'
    assert planned[1] == " ".join(("In step 2 scripted planned to call", made_up, *others))
    called = 'In step 4 scripted planned to call multiply, "answer",'
    assert planned[3] == f"{called} and not divide and open_result."
    assert planned[4] == "In step 5 scripted answered."


async def test_calls_of_made_up_tools_are_counted_as_of_one(env: dict[str, str]) -> None:
    found = json.loads((await command("stats", "--json", env=env)).out)
    tools = {
        one["name"]: (one["calls"], one["errors"]) for one in found if one["operation"] == "execute_tool"
    }
    assert tools == {"multiply": (1, 0), "(no such tool)": (304, 304)}
    shown = process_metrics().registry.get_sample_value
    for name, calls in (("multiply", 1), ("(no such tool)", 304), ("other", None)):
        labels = {"operation": "execute_tool", "name": name}
        assert shown("boring_duration_seconds_count", labels) == calls
    process_metrics.cache_clear()
    [run] = json.loads((await command("runs", "--json", env=env)).out)
    trace = (await command("trace", run["run_id"], env=env)).out
    assert "execute_tool made_up_299" in trace
