"""Which agent a command runs: the reference agent, or a graph of the user's own."""

from __future__ import annotations

import asyncio
import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import InputError
from core.process import current_process

if TYPE_CHECKING:
    from graphs.single import Agent
    from tools.contract import Tool


async def opened_graph(name: str | None) -> Agent:
    """Return a graph with the Postgres checkpointer, None naming the reference agent with MCP tools.

    Args:
        name: module and graph, as `langgraph.json` names them: `shop.agent:graph`. Modules are looked for in
            the current folder too.

    Raises:
        InputError: there is no such graph.
    """
    from memory.checkpoints import postgres_checkpointer  # noqa: PLC0415 - loaded with the session

    saver = await postgres_checkpointer()
    if name is None:
        from graphs.single import create_single  # noqa: PLC0415 - loaded with the session

        return create_single(saver, tools=await _tools_of_mcp_servers())
    graph = await asyncio.to_thread(_imported, name)
    return graph.copy(update={"checkpointer": saver})


async def _tools_of_mcp_servers() -> list[Tool]:
    if (await current_process()).settings.mcp is None:
        return []
    from tools.mcp.tools import mcp_tools  # noqa: PLC0415 - takes time, and is needed only where servers are named

    return await mcp_tools()


def _imported(name: str) -> Agent:
    from langgraph.graph.state import CompiledStateGraph  # noqa: PLC0415 - loaded with the session

    module_name, _, attribute = name.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    try:
        graph = getattr(importlib.import_module(module_name), attribute or "graph")
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(
            f"There is no graph {name!r}: {error}. Name a module and its compiled graph, such as "
            "graphs.single:graph."
        ) from error
    if not isinstance(graph, CompiledStateGraph):
        raise InputError(f"{name!r} is a {type(graph).__name__}; expected a compiled graph.")
    return graph  # pyright: ignore[reportUnknownVariableType] - its state is known by its name only
