"""One live session with an MCP server, kept by a task of its own, and the calls over it.

The scopes of an MCP session have to be entered and left by one task, while calls come from many. So a task
opens the session, waits, and closes it; calls race their answer against the end of that task.
"""

import asyncio
import contextvars
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import anyio
from mcp import ClientSession, McpError, types

from core.errors import BoringError, ConfigurationError, ToolError
from tools.mcp.http import NO_ANSWER, NOT_SENT, SESSION_GONE, http_session
from tools.mcp.settings import McpServer
from tools.mcp.stdio import LastWords, stdio_session
from tools.progress import report_progress

Answer = TypeVar("Answer")
_MAX_PAGES = 100
_MAX_TOOLS = 1000
_CLOSING_S = 8.0
_NOTIFYING_S = 10.0
_CLOSED = "Connection closed"
"""What the `mcp` package says of requests that were under way when the server's stream ended."""


class SessionLost(ConnectionRefusedError):  # noqa: N818 - an event, and an error only for whoever can't call again
    """The session ended before the call was sent, so calling again over another repeats nothing."""


@dataclass(slots=True)
class Session:
    """A session that is open, or was.

    Attributes:
        tools: as the server listed them, by name.
        stale: whether the server has said since that its list has changed.
        lost: whether it was found to be of no use any more.
    """

    name: str
    client: ClientSession
    owner: asyncio.Task[None]
    tools: dict[str, types.Tool] = field(default_factory=dict[str, types.Tool])
    stale: bool = False
    lost: bool = False
    cancelled: asyncio.Queue[types.RequestId] = field(default_factory=asyncio.Queue[types.RequestId])

    @property
    def is_over(self) -> bool:
        """Whether nothing can be sent over it any more."""
        return self.lost or self.owner.done()

    def _give_up(self) -> None:
        self.lost = True
        self.owner.cancel()

    async def refresh(self) -> None:
        """List the tools again.

        Raises:
            ConnectionError: the server did not answer.
        """
        self.stale = False
        self.tools = await self._answered(lambda: _listed(self.client))

    async def call(
        self, tool: str, arguments: dict[str, Any], *, meta: dict[str, Any] | None = None
    ) -> types.CallToolResult:
        """Call a tool. Cancelled, it tells the server so.

        Raises:
            SessionLost: the call was not sent, over this session none can be.
            ConnectionRefusedError: the call was not sent.
            ConnectionError: nobody knows whether the call happened.
            ToolError: the server refused the call.
        """
        context = contextvars.copy_context()

        async def told(progress: float, total: float | None, message: str | None) -> None:
            of = f" of {total:g}" if total is not None else ""
            context.run(report_progress, f"{tool}: {message or f'{progress:g}{of}'}")

        sent = None if meta is None else types.RequestParams.Meta(**meta)
        params = types.CallToolRequestParams(name=tool, arguments=arguments, _meta=sent)
        request = types.ClientRequest(types.CallToolRequest(params=params))
        # Not `ClientSession.call_tool`: it fails a call that was done where its result does not fit a schema.
        return await self._answered(
            lambda: self.client.send_request(request, types.CallToolResult, progress_callback=told)
        )

    async def _answered(self, ask: Callable[[], Coroutine[Any, Any, Answer]]) -> Answer:
        if self.is_over:
            raise SessionLost(f"The session with MCP server {self.name!r} has ended.")
        numbers: list[types.RequestId] = []

        async def numbered() -> Answer:
            numbers.append(self.client._request_id)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - the only place that holds the number of the request that is sent next
            return await ask()

        asking = asyncio.create_task(numbered(), name=f"mcp {self.name}")
        try:
            await asyncio.wait({asking, self.owner}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            for number in numbers:
                self.cancelled.put_nowait(number)
            raise
        finally:
            if not asking.done():
                asking.cancel()
                await asyncio.wait({asking})
        if asking.cancelled():
            raise ConnectionError(f"MCP server {self.name!r} went away during the call.")
        return self._outcome(asking)

    def _outcome(self, asked: asyncio.Task[Answer]) -> Answer:
        try:
            return asked.result()
        except (anyio.ClosedResourceError, anyio.BrokenResourceError) as error:
            self._give_up()
            raise SessionLost(f"The session with MCP server {self.name!r} has ended.") from error
        except McpError as error:
            said = f"MCP server {self.name!r}: {error.error.message}"
            code = error.error.code
            if code == SESSION_GONE:
                self._give_up()
                raise SessionLost(said) from error
            if code == NOT_SENT:
                raise ConnectionRefusedError(said) from error
            if code == types.CONNECTION_CLOSED and error.error.message == _CLOSED:
                self._give_up()
                raise ConnectionError(f"MCP server {self.name!r} went away during the call.") from error
            if code == NO_ANSWER:
                raise ConnectionError(said) from error
            raise ToolError(f"{said} (JSON-RPC error {code})") from error


async def begin(name: str, server: McpServer) -> Session:
    """Open a session and list its server's tools.

    Raises:
        ConfigurationError: the server can't be started or reached, or did not answer in time; the message
            names it and says why.
    """
    ready: asyncio.Future[Session] = asyncio.get_running_loop().create_future()
    words = LastWords()
    owner = asyncio.create_task(_own(name, server, ready, words), name=f"mcp session {name}")
    owner.add_done_callback(_looked_at)
    try:
        await asyncio.wait({ready, owner}, return_when=asyncio.FIRST_COMPLETED)
    except asyncio.CancelledError:
        await end(owner)
        raise
    if ready.done():
        return ready.result()
    error = None if owner.cancelled() else owner.exception()
    said = f" It said: {words.text.strip()}" if words.text.strip() else ""
    reason = server.redacted(_reason(error, server))
    raise ConfigurationError(f"MCP server {name!r} {reason}.{said}") from error


def _looked_at(owner: asyncio.Task[None]) -> None:
    """Take note of why a session ended; who calls next opens another."""
    if not owner.cancelled():
        owner.exception()


async def end(owner: asyncio.Task[None]) -> None:
    """Close a session by its owner: the process is stopped, the HTTP session given up."""
    for _ in range(2):
        owner.cancel()
        done, _ = await asyncio.wait({owner}, timeout=_CLOSING_S)
        if done:
            return


async def _own(name: str, server: McpServer, ready: asyncio.Future[Session], words: LastWords) -> None:
    """Open the session, wait, tell the server which calls were given up; close it when cancelled."""
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("a session is owned by a task")
    async with asyncio.timeout(server.start_timeout_s) as starting:
        session: Session | None = None

        async def heard(message: Any) -> None:
            if session is not None and _is_list_changed(message):
                session.stale = True

        async with _opened(server, {"message_handler": heard}, words) as client:
            await client.initialize()
            session = Session(name, client, task, tools=await _listed(client))
            starting.reschedule(None)
            ready.set_result(session)
            while True:
                await _tell(client, await session.cancelled.get())


@asynccontextmanager
async def _opened(
    server: McpServer, session_kwargs: dict[str, Any], words: LastWords
) -> AsyncGenerator[ClientSession]:
    opening = (
        http_session(server, session_kwargs)
        if server.url is not None
        else stdio_session(server, session_kwargs, words)
    )
    async with opening as client:
        yield client


async def _tell(client: ClientSession, number: types.RequestId) -> None:
    params = types.CancelledNotificationParams(requestId=number, reason="the caller has given up")
    async with asyncio.timeout(_NOTIFYING_S):
        await client.send_notification(types.ClientNotification(types.CancelledNotification(params=params)))


async def _listed(client: ClientSession) -> dict[str, types.Tool]:
    """Return the server's tools.

    Raises:
        ConfigurationError: there is no end of them.
    """
    found: dict[str, types.Tool] = {}
    cursor: str | None = None
    for _ in range(_MAX_PAGES):
        page = await client.list_tools(params=types.PaginatedRequestParams(cursor=cursor) if cursor else None)
        found.update((tool.name, tool) for tool in page.tools)
        if not page.nextCursor:
            return found
        if len(found) > _MAX_TOOLS:
            break
        cursor = page.nextCursor
    raise ConfigurationError(
        f"it lists tools without end, {len(found)} by now; {_MAX_TOOLS} on {_MAX_PAGES} pages are the most"
    )


def _is_list_changed(message: Any) -> bool:
    return isinstance(message, types.ServerNotification) and isinstance(
        message.root, types.ToolListChangedNotification
    )


def _reason(error: BaseException | None, server: McpServer) -> str:
    """Say in one line why a session could not be opened."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, TimeoutError):
        return f"did not answer within {server.start_timeout_s:g} s (its `start_timeout_s`)"
    closed = isinstance(error, McpError) and error.error.message == _CLOSED
    if closed or isinstance(error, (anyio.BrokenResourceError, anyio.ClosedResourceError)):
        return "ended while it was starting"
    if isinstance(error, (McpError, BoringError)):
        return f"can't be used: {error}"
    return f"can't be used: {type(error).__name__}: {error}"
