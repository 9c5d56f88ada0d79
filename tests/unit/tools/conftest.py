import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
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


@dataclass
class Heard:
    """A request as it came in; header names are in small letters."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Site:
    """An HTTP server on loopback, one request for each connection.

    `pages` holds what is answered, by path: the status, the headers and the body.
    """

    port: int = 0
    scheme: str = "http"
    pages: dict[str, tuple[int, dict[str, str], bytes]] = field(default_factory=dict)
    heard: list[Heard] = field(default_factory=list)

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"{self.scheme}://{host}:{self.port}{path}"

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            method, target, _ = head[0].split()
            headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:] if line)}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            self.heard.append(Heard(method, target, headers, body))
            status, more, content = self.pages.get(target.partition("?")[0], (404, {}, b"Not here."))
            lines = [f"HTTP/1.1 {status} Said", "Connection: close", *(f"{k}: {v}" for k, v in more.items())]
            writer.write("\r\n".join([*lines, "", ""]).encode() + content)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # whoever asked has had enough
        finally:
            writer.close()


@pytest.fixture
async def serving() -> AsyncIterator[Callable[..., Awaitable[Site]]]:
    """Return a function that starts a site, with TLS where a context is given."""
    servers: list[asyncio.Server] = []

    async def serve(tls: ssl.SSLContext | None = None) -> Site:
        site = Site(scheme="https" if tls else "http")
        server = await asyncio.start_server(site.answer, "127.0.0.1", 0, ssl=tls)
        servers.append(server)
        site.port = server.sockets[0].getsockname()[1]
        return site

    yield serve
    for server in servers:
        server.close()
        await server.wait_closed()


@pytest.fixture
async def site(serving: Callable[..., Awaitable[Site]]) -> Site:
    return await serving()


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
