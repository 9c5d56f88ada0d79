"""HTTP on loopback for the scripted model: just enough of HTTP/1.1, on asyncio's own streams.

Written by hand because the scripted model ships for users' tests: it must not pull a web framework into
a project that has none, and it must be able to do what a framework forbids, such as cutting a body short.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Self

_MAX_HEADER_BYTES = 64 * 1024
_MAX_BODY_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request, read whole. Header names are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class HttpResponse:
    """The answer to one request: sent at once, or streamed in chunks."""

    def __init__(self, writer: asyncio.StreamWriter, *, keep_alive: bool) -> None:
        self._writer = writer
        self._connection = "keep-alive" if keep_alive else "close"
        self.dropped = False

    async def send(
        self, status: int, body: bytes, *, headers: Mapping[str, str] | None = None, cut_to: int | None = None
    ) -> None:
        """Send a JSON body whole; with `cut_to`, announce it whole but hang up after that many bytes."""
        fields = {"content-type": "application/json", "content-length": str(len(body)), **(headers or {})}
        self._write_head(status, fields)
        self._writer.write(body[:cut_to])
        await self._writer.drain()
        if cut_to is not None:
            self.drop()

    async def open_stream(self) -> None:
        """Begin a stream of server-sent events."""
        self._write_head(200, {"content-type": "text/event-stream", "transfer-encoding": "chunked"})
        await self._writer.drain()

    async def send_event(self, data: str) -> None:
        """Send one server-sent event, flushed at once."""
        payload = f"data: {data}\n\n".encode()
        self._writer.write(f"{len(payload):x}\r\n".encode() + payload + b"\r\n")
        await self._writer.drain()

    async def close_stream(self) -> None:
        """End the stream as the protocol wants it."""
        self._writer.write(b"0\r\n\r\n")
        await self._writer.drain()

    def drop(self) -> None:
        """Hang up without ending the body."""
        self.dropped = True
        self._writer.close()

    def _write_head(self, status: int, headers: Mapping[str, str]) -> None:
        fields = {**headers, "connection": self._connection}
        lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *(f"{k}: {v}" for k, v in fields.items())]
        self._writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))


Handler = Callable[[HttpRequest, HttpResponse], Awaitable[None]]


class LoopbackServer:
    """An HTTP server on a free port of 127.0.0.1, up for the length of an `async with`.

    A connection carries one request unless `keep_alive` is set: clients that nobody closes, such as the one
    langchain-openai caches, would otherwise hold connections past the end of a test's event loop.
    """

    def __init__(self, handler: Handler, *, port: int = 0, keep_alive: bool = False) -> None:
        self._handler = handler
        self._keep_alive = keep_alive
        self._wanted_port = port
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        """The port listened on.

        Raises:
            RuntimeError: the server is not up.
        """
        if self._server is None:
            raise RuntimeError("The server has no port outside of its `async with` block.")
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(
            self._accept, "127.0.0.1", self._wanted_port, limit=_MAX_HEADER_BYTES
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        for connection in self._connections:
            connection.cancel()
        if self._connections:
            await asyncio.wait(self._connections)
        await server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (request := await _read_request(reader)) is not None:
                keep_alive = self._keep_alive and request.headers.get("connection", "").lower() != "close"
                response = HttpResponse(writer, keep_alive=keep_alive)
                await self._handler(request, response)
                if response.dropped or not keep_alive:
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client hung up: nobody is left to answer
        finally:
            writer.close()


async def _read_request(reader: asyncio.StreamReader) -> HttpRequest | None:
    """Read one request; None when the client closed the connection between two."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(":") for line in lines if line)
    }
    if "chunked" in headers.get("transfer-encoding", "").lower():
        body = await _read_chunks(reader)
    else:
        body = await reader.readexactly(min(int(headers.get("content-length", "0")), _MAX_BODY_BYTES))
    return HttpRequest(method, target.partition("?")[0], headers, body)


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    parts: list[bytes] = []
    while size := int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16):
        parts.append(await reader.readexactly(size))
        await reader.readexactly(2)
    await reader.readuntil(b"\r\n")
    return b"".join(parts)
