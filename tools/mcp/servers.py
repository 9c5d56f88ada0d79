"""The MCP servers of a process: their sessions, which of their tools are accepted, and calls to them."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from core.database import Database
from core.errors import ConfigurationError, ToolError
from tools.contract import Tool
from tools.mcp.contract import contracted_mcp_tool, description_of, effect_of, tool_names
from tools.mcp.pins import Description, Standing, standings
from tools.mcp.results import result_text
from tools.mcp.session import Session, SessionLost, begin, end
from tools.mcp.settings import McpServer, mcp_servers

EXPLAINED: Mapping[Standing, str] = {
    "accepted": "it is as it was accepted",
    "changed": "its description is not the one that was accepted",
    "new": "it was not accepted yet",
    "gone": "its server does not list it any more",
}
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class McpToolReport:
    """What became of a tool that a server lists, or that was accepted once.

    Attributes:
        tool: its name at the server.
        name: its name for models.
        effect: empty for a tool that is gone.
        standing: only `accepted` tools are offered to models.
        problem: why an accepted tool can't be offered all the same.
        offered: the tool under contract, where it is offered.
        description: what the server says of it now.
    """

    tool: str
    name: str
    effect: str
    standing: Standing
    problem: str | None = None
    offered: Tool | None = None
    description: Description = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class McpServerReport:
    """What became of a server.

    Attributes:
        error: why it can't be used, or None.
    """

    server: str
    error: str | None
    tools: tuple[McpToolReport, ...] = ()


class McpLink:
    """One server: its session, opened when it is needed and anew when it was lost."""

    def __init__(self, name: str, server: McpServer, database: Database, *, trust_first_use: bool) -> None:
        self.name = name
        self.server = server
        self.standings: Mapping[str, Standing] = {}
        self._database = database
        self._trust_first_use = trust_first_use
        self._opening: asyncio.Task[Session] | None = None
        self._owners: set[asyncio.Task[None]] = set()

    async def session(self) -> Session:
        """Return an open session whose list of tools is current and has been compared with the accepted one.

        Raises:
            ConfigurationError: the server can't be used.
        """
        task = self._opening
        if task is None or (task.done() and _is_of_no_use(task)):
            task = self._opening = asyncio.create_task(self._open(), name=f"open mcp {self.name}")
        session = await asyncio.shield(task)
        if session.stale:
            await session.refresh()
            await self.compare(session)
        return session

    async def call(self, tool: str, arguments: dict[str, Any], meta: dict[str, Any] | None) -> str:
        """Call a tool and return its result as text.

        A call that was certainly not sent, because the session had ended, is sent once over a new one.

        Raises:
            ToolError: the tool failed, or is not accepted as it is now.
            ConnectionRefusedError: the call was not sent.
            ConnectionError: nobody knows whether the call happened.
        """
        try:
            return await self._redacted_call(tool, arguments, meta)
        except SessionLost as lost:
            _log.info("%s A new one is opened.", lost)
            return await self._redacted_call(tool, arguments, meta)

    async def _redacted_call(self, tool: str, arguments: dict[str, Any], meta: dict[str, Any] | None) -> str:
        """Call a tool; its failure names no secret, whatever the server says of it."""
        try:
            return await self._call(tool, arguments, meta)
        except (ToolError, ConnectionError) as error:
            raise type(error)(self.server.redacted(str(error))) from None

    async def _call(self, tool: str, arguments: dict[str, Any], meta: dict[str, Any] | None) -> str:
        try:
            session = await self.session()
        except (ConfigurationError, ConnectionError) as error:
            raise ConnectionRefusedError(f"The call was not sent: {error}") from error
        if self.standings.get(tool) != "accepted":
            await self.compare(session)  # somebody may have accepted it meanwhile, in another process
        standing = self.standings.get(tool, "gone")
        if standing != "accepted" or tool not in session.tools:
            raise ToolError(f"{tool} of MCP server {self.name} is disabled: {EXPLAINED[standing]}.")
        return result_text(await session.call(tool, arguments, meta=meta))

    async def close(self) -> None:
        """End the session, and what is left of earlier ones."""
        if self._opening is not None and not self._opening.done():
            self._opening.cancel()
            await asyncio.wait({self._opening})
        async with asyncio.TaskGroup() as closing:
            for owner in list(self._owners):
                closing.create_task(end(owner))

    async def _open(self) -> Session:
        session = await begin(self.name, self.server)
        self._owners.add(session.owner)
        session.owner.add_done_callback(self._owners.discard)
        await self.compare(session)
        return session

    async def compare(self, session: Session) -> None:
        """Compare what the server lists with what was accepted."""
        listed = {name: description_of(tool) for name, tool in session.tools.items()}
        self.standings = await standings(
            self._database, self.name, listed, trust_first_use=self._trust_first_use
        )


class McpHub:
    """All servers that the settings name."""

    def __init__(self, links: Mapping[str, McpLink]) -> None:
        self._links = links

    async def reports(self) -> list[McpServerReport]:
        """Return what became of each server; those that could not be used before are tried again."""
        async with asyncio.TaskGroup() as asking:
            asked = {name: asking.create_task(_session_or_error(link)) for name, link in self._links.items()}
        found = {name: task.result() for name, task in asked.items()}
        names = tool_names(
            (server, tool) for server, got in found.items() if isinstance(got, Session) for tool in got.tools
        )
        return [
            McpServerReport(server, None, tuple(_reported(self._links[server], got, names)))
            if isinstance(got, Session)
            else McpServerReport(server, got)
            for server, got in found.items()
        ]

    async def tools(self) -> list[Tool]:
        """Return the accepted tools; whatever is not offered is logged as a warning."""
        offered: list[Tool] = []
        for report in await self.reports():
            if report.error is not None:
                _log.warning("%s Its tools are missing.", report.error)
            for tool in report.tools:
                if tool.offered is not None:
                    offered.append(tool.offered)
                    continue
                why = tool.problem or f"{EXPLAINED[tool.standing]}; see `boring mcp list`"
                _log.warning("tool %s of MCP server %s is disabled: %s", tool.tool, report.server, why)
        return offered

    async def close(self) -> None:
        """End all sessions."""
        async with asyncio.TaskGroup() as closing:
            for link in self._links.values():
                closing.create_task(link.close())


@asynccontextmanager
async def opened_hub(path: Path, database: Database, *, trust_first_use: bool) -> AsyncGenerator[McpHub]:
    """Own the sessions with the servers that the file at `path` names.

    Raises:
        ConfigurationError: the file holds what it may not.
    """
    servers = await mcp_servers(path)
    hub = McpHub(
        {
            name: McpLink(name, server, database, trust_first_use=trust_first_use)
            for name, server in servers.items()
        }
    )
    try:
        yield hub
    finally:
        await hub.close()


def _is_of_no_use(opening: asyncio.Task[Session]) -> bool:
    return opening.cancelled() or opening.exception() is not None or opening.result().is_over


async def _session_or_error(link: McpLink) -> Session | str:
    try:
        session = await link.session()
        await link.compare(session)
    except (ConfigurationError, ConnectionError) as error:
        return link.server.redacted(str(error))
    return session


def _reported(link: McpLink, session: Session, names: Mapping[tuple[str, str], str]) -> list[McpToolReport]:
    reports: list[McpToolReport] = []
    for tool, standing in sorted(link.standings.items()):
        listed = session.tools.get(tool)
        if listed is None:
            reports.append(McpToolReport(tool, "", "", "gone"))
            continue
        name = names[link.name, tool]
        offered: Tool | None = None
        problem: str | None = None
        if standing == "accepted":
            try:
                call = partial(link.call, tool)
                offered = contracted_mcp_tool(listed, link.server, name=name, call=call)
            except ValueError as error:
                problem = str(error)
        effect = effect_of(listed, link.server)
        described = description_of(listed)
        reports.append(McpToolReport(tool, name, effect, standing, problem, offered, described))
    return reports
