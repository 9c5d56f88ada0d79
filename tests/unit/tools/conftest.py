from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from langgraph.graph import START, StateGraph
from pydantic import SecretStr
from typing_extensions import TypedDict

from core.context import RunContext
from core.process import Process, opened_process
from core.settings import Settings
from tools.contract import Tool, ToolResult

Called = Callable[..., Any]


class _Result(TypedDict):
    result: str | ToolResult


@pytest.fixture
async def process(postgres_url: str, tmp_path: Path) -> AsyncIterator[Process]:
    settings = Settings(database_url=SecretStr(postgres_url), data_dir=tmp_path, cache_dir=tmp_path)
    async with opened_process(settings) as opened:
        yield opened


@pytest.fixture
def called() -> Called:
    """Return a function that validates the arguments and runs a tool, within a run for a tenant and a user.

    `injected` holds what the runtime would fill in, by parameter.
    """

    async def call(
        tool: Tool, *, tenant: str = "local", user: str = "local", injected: Any = None, **given: Any
    ) -> str | ToolResult:
        arguments = tool.arguments.model_validate(given)
        values = {name: getattr(arguments, name) for name in type(arguments).model_fields}

        async def node(state: _Result) -> _Result:
            del state
            return {"result": await tool.run(**values, **(injected or {}))}

        graph: Any = StateGraph(_Result, context_schema=RunContext)
        graph.add_node("node", node)
        graph.add_edge(START, "node")
        final = await graph.compile().ainvoke({}, context=RunContext(user=user, tenant=tenant))
        return final["result"]

    return call
