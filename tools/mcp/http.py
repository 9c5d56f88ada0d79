"""The HTTP side of an MCP session: what goes wrong with one request fails that request only.

The `mcp` package ends a whole session when one POST fails, and waits for ever when the stream of an answer
breaks off. Here such a request is answered in the server's place, by a JSON-RPC error.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from langchain_mcp_adapters.sessions import StreamableHttpConnection, create_session
from mcp import ClientSession

from core.trust import system_trust
from tools.mcp.settings import McpServer

NOT_SENT = -32900
"""Code of our own: the request never reached the server."""
NO_ANSWER = -32901
"""Code of our own: the request may have reached the server; its answer did not come."""
REFUSED = -32903
"""Code of our own: the server has refused the request, as one without the right key."""
SESSION_GONE = -32902
"""Code of our own: the server does not know this session any more, so it did nothing."""
_CONNECT_TIMEOUT_S = 10.0
_NOTIFICATION_TIMEOUT_S = 10.0
_FAILED = 400
_SERVER_ERROR = 500
_BY_STATUS = {400: SESSION_GONE, 404: SESSION_GONE, 408: NO_ANSWER, 429: NOT_SENT}
# Many servers answer 400 to a session that they do not know, where the protocol has 404.
_OF_ENCODING = ("content-encoding", "content-length", "transfer-encoding")
_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


@asynccontextmanager
async def http_session(server: McpServer, session_kwargs: dict[str, Any]) -> AsyncGenerator[ClientSession]:
    """Open a session with the server at `server.url`, not yet initialized.

    langchain-mcp-adapters puts the parts together; the client is ours.
    """

    def client(
        headers: dict[str, str] | None = None,
        timeout: httpx.Timeout | None = None,
        auth: httpx.Auth | None = None,
    ) -> httpx.AsyncClient:
        del timeout
        # How long an answer may take is the tool's own limit, so reading has none.
        limits = httpx.Timeout(_CONNECT_TIMEOUT_S, read=None)
        return _AnsweringClient(headers=headers, timeout=limits, auth=auth, verify=system_trust())

    connection = StreamableHttpConnection(
        transport="streamable_http",
        url=server.url or "",
        headers={name: value.get_secret_value() for name, value in server.headers.items()},
        httpx_client_factory=client,
        session_kwargs=session_kwargs,
    )
    async with create_session(connection) as session:
        yield session


class _AnsweringClient(httpx.AsyncClient):
    """Answers a JSON-RPC request in the server's place where the server does not."""

    async def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        if request.method != "POST":
            return await super().send(request, **options)
        call = json.loads(await request.aread()).get("id")
        if call is None:
            return await self._notify(request, **options)
        try:
            response = await super().send(request, **options)
        except httpx.TransportError as error:
            code = NOT_SENT if isinstance(error, _NEVER_SENT) else NO_ANSWER
            return _answer(request, call, code, f"{type(error).__name__} {error}".strip())
        if response.status_code >= _FAILED:
            await response.aclose()
            other = NO_ANSWER if response.status_code >= _SERVER_ERROR else REFUSED
            code = _BY_STATUS.get(response.status_code, other)
            return _answer(request, call, code, f"HTTP {response.status_code} {response.reason_phrase}")
        if response.headers.get("content-type", "").lower().startswith("text/event-stream"):
            return httpx.Response(
                response.status_code,
                headers=[pair for pair in response.headers.items() if pair[0] not in _OF_ENCODING],
                stream=_AnsweredStream(response, call),
                request=request,
            )
        return response

    async def _notify(self, request: httpx.Request, **options: Any) -> httpx.Response:
        """Send what needs no answer; the session writes nothing else meanwhile, so it may not take long."""
        try:
            async with asyncio.timeout(_NOTIFICATION_TIMEOUT_S):
                response = await super().send(request, **options)
                if response.has_redirect_location:
                    return response
                await response.aclose()
        except (httpx.TransportError, TimeoutError):
            pass  # what a notification is about fails by itself
        return httpx.Response(202, request=request)


class _AnsweredStream(httpx.AsyncByteStream):
    """The events of an answer; one that breaks off before the answer ends with an error in its place."""

    def __init__(self, response: httpx.Response, call: int | str) -> None:
        self._response = response
        self._call = call

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield what comes. Whoever has read the answer stops, so the end of the stream is never reached."""
        before = b"\n"
        resumable = False
        why = "the answer's stream ended before the answer"
        try:
            async for chunk in self._response.aiter_bytes():
                # An event with an id: the session asks for the rest by it, as the protocol has it.
                resumable = resumable or b"\nid:" in before + chunk
                before = (before + chunk)[-3:]
                yield chunk
        except httpx.TransportError as error:
            why = f"{type(error).__name__} {error}".strip()
        if not resumable:
            yield b"\n\nevent: message\ndata: " + _error(self._call, NO_ANSWER, why) + b"\n\n"

    async def aclose(self) -> None:
        await self._response.aclose()


def _answer(request: httpx.Request, call: int | str, code: int, why: str) -> httpx.Response:
    headers = {"content-type": "application/json"}
    return httpx.Response(200, headers=headers, content=_error(call, code, why), request=request)


def _error(call: int | str, code: int, why: str) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": call, "error": {"code": code, "message": why}}).encode()
