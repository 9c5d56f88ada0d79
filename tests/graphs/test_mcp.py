"""An agent with the tools of a real MCP server, on a scripted model."""

import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from pydantic import SecretStr

from core.context import RunContext
from core.process import Process, opened_process
from core.settings import Settings
from evals.scripted_model import Reply, ToolCall
from graphs.single import create_agent
from memory.checkpoints import postgres_checkpointer
from tools.mcp.tools import mcp_tools

SERVER = str(Path(__file__).parents[1] / "unit/tools/mcp_server.py")
CONFIG: Any = {"configurable": {"thread_id": "t"}}


@pytest.fixture
async def process(postgres_url: str, tmp_path: Path) -> AsyncIterator[Process]:
    path = tmp_path / "mcp.json"
    server = {
        "command": sys.executable,
        "args": [SERVER, str(tmp_path)],
        "tools": {"wait": {"effect": "read", "timeout_s": 1}},
    }
    path.write_text(json.dumps({"mcpServers": {"srv": server}}))
    settings = Settings(database_url=SecretStr(postgres_url), data_dir=tmp_path, mcp=path)
    async with opened_process(settings) as opened:
        yield opened


async def run(speaking: Any, *calls: ToolCall) -> tuple[dict[str, str], Any]:
    """Let a model make calls in one message; return what it was told of each, and the model."""
    llm = await speaking([Reply(tool_calls=calls), "Done."])
    agent = create_agent(llm=llm, tools=await mcp_tools(), checkpointer=await postgres_checkpointer())
    result = await agent.ainvoke({"messages": [HumanMessage("Go")]}, CONFIG, context=RunContext())
    assert result["answer"]["text"] == "Done."
    told = {message.name: message.text for message in result["messages"] if message.type == "tool"}
    return told, llm.metadata["scripted"]


async def test_an_agent_calls_the_tools_of_a_server(process: Process, speaking: Any) -> None:
    told, model = await run(
        speaking,
        ToolCall("srv_echo", {"text": "Hi"}),
        ToolCall("srv_total", {"numbers": [2, 3], "why": "x"}),
        ToolCall("srv_keep", {"text": "a"}),
        ToolCall("srv_fail", {}),
    )
    assert told["srv_echo"] == "Hi"
    assert "- why: Extra inputs are not permitted" in told["srv_total"]
    assert "boring/idempotency-key" in told["srv_keep"]
    assert "it is full" in told["srv_fail"]
    offered = {tool["function"]["name"]: tool["function"] for tool in model.requests[0]["tools"]}
    assert offered["srv_echo"]["description"] == "Say the same."
    assert offered["srv_echo"]["parameters"]["required"] == ["text"]
    async with (await process.database()).pool.connection() as connection:
        rows = await (await connection.execute("select tool, outcome from boring.tool_call")).fetchall()
    assert {row["tool"]: row["outcome"] for row in rows} == {
        "srv_echo": "ok",
        "srv_total": "invalid",
        "srv_keep": "ok",
        "srv_fail": "error",
    }


async def test_a_server_says_how_far_it_is_until_the_tool_s_time_is_over(
    process: Process, speaking: Any
) -> None:
    assert process.settings.mcp is not None, "the tools are those of this process"
    llm = await speaking([Reply(tool_calls=(ToolCall("srv_wait", {}),)), "Done."])
    agent = create_agent(llm=llm, tools=await mcp_tools(), checkpointer=await postgres_checkpointer())
    asked: Any = {"messages": [HumanMessage("Go")]}
    lines = [
        part["progress"]
        async for part in agent.astream(asked, CONFIG, context=RunContext(), stream_mode="custom")
        if "progress" in part
    ]
    assert "wait: one of three" in lines
    state = await agent.aget_state(CONFIG)
    assert "srv_wait gave no result within 1 s" in str(state.values["messages"])
