"""Tools from MCP servers, for `create_agent(tools=[...])`. Without servers nothing of MCP is imported."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.errors import ConfigurationError
from core.loading import load
from core.process import Process, current_process
from tools.contract import Tool

if TYPE_CHECKING:
    from tools.mcp.servers import McpHub


async def mcp_tools() -> list[Tool]:
    """Return the accepted tools of all servers that `BORING_MCP` names; without it, none.

    The sessions belong to the process of the running event loop and end with it. A server that can't be used
    is left out, with a warning in the log, and tried again at the next call of this function.

    Raises:
        ConfigurationError: the file that `BORING_MCP` names holds what it may not.
    """
    process = await current_process()
    if process.settings.mcp is None:
        return []
    return await (await mcp_hub(process)).tools()


async def mcp_hub(process: Process) -> McpHub:
    """Return the MCP servers of a process whose settings name some.

    Raises:
        ConfigurationError: they name none, or the file holds what it may not.
    """
    path = process.settings.mcp
    if path is None:
        raise ConfigurationError("BORING_MCP is not set. Set it to a JSON file that names MCP servers.")
    await load("tools.mcp.servers")
    from tools.mcp.servers import opened_hub  # noqa: PLC0415 - loaded above, beside the event loop

    database = await process.database()
    trust = process.settings.mcp_trust_first_use
    return await process.once("mcp", lambda: opened_hub(path, database, trust_first_use=trust))
