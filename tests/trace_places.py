"""A place for traces on loopback: it records what it is sent, or refuses it, or never answers."""

import asyncio
import gzip
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

LANGSMITH_INFO: Any = {
    "/info": {
        "version": "1",
        "batch_ingest_config": {
            "use_multipart_endpoint": True,
            "scale_up_qsize_trigger": 1000,
            "scale_up_nthreads_limit": 16,
            "scale_down_nempty_trigger": 4,
            "size_limit": 100,
            "size_limit_bytes": 20_971_520,
        },
        "instance_flags": {"zstd_compression_enabled": True},
    }
}
"""What LangSmith says of itself."""


@dataclass
class Request:
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def spans(self) -> dict[str, dict[str, Any]]:
        """The spans of an OTLP request by name, each with its attributes in plain form."""
        told = MessageToDict(self._message())
        return {
            span["name"]: {**span, "attributes": plain(span.get("attributes", []))}
            for resource in told["resourceSpans"]
            for scope in resource["scopeSpans"]
            for span in scope["spans"]
        }

    @property
    def resource(self) -> dict[str, Any]:
        return plain(MessageToDict(self._message())["resourceSpans"][0]["resource"]["attributes"])

    def _message(self) -> ExportTraceServiceRequest:
        zipped = self.headers.get("content-encoding") == "gzip"
        return ExportTraceServiceRequest.FromString(gzip.decompress(self.body) if zipped else self.body)


@dataclass
class Place:
    """What arrived, and how it is answered.

    Attributes:
        arrived: set when the first request has come that is not answered, or any if all are.
        statuses: of the next answers; then 200.
        hangs: requests whose path begins so are taken and never answered.
        answers: what is answered instead, as JSON, by path.
        rejects: how many spans of each request it says that it does not take.
    """

    url: str = ""
    requests: list[Request] = field(default_factory=list[Request])
    statuses: list[int] = field(default_factory=list[int])
    hangs: str | None = None
    answers: dict[str, Any] = field(default_factory=dict[str, Any])
    rejects: int = 0
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readline():
                path = head.split()[1].decode()
                headers = await _headers(reader)
                body = await _body(reader, headers)
                self.requests.append(Request(path, headers, body))
                hangs = self.hangs is not None and path.startswith(self.hangs)
                if hangs or self.hangs is None:
                    self.arrived.set()
                if hangs:
                    await asyncio.Event().wait()
                self._write(writer, path)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def _write(self, writer: asyncio.StreamWriter, path: str) -> None:
        status = self.statuses.pop(0) if self.statuses else 200
        told = ExportTraceServiceResponse()
        if self.rejects:
            told.partial_success.rejected_spans = self.rejects
        body, kind = told.SerializeToString(), "application/x-protobuf"
        if path in self.answers:
            body, kind = json.dumps(self.answers[path]).encode(), "application/json"
        head = f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)


@asynccontextmanager
async def opened_place(port: int = 0) -> AsyncGenerator[Place]:
    """Listen on a free port of loopback until the block ends."""
    place, tasks = Place(), set[asyncio.Task[None]]()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        await place.answer(reader, writer)

    server = await asyncio.start_server(connected, "127.0.0.1", port)
    place.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield place
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


def plain(attributes: list[dict[str, Any]]) -> dict[str, Any]:
    """Return attributes of OTLP's JSON form as plain values."""
    return {one["key"]: _value(one["value"]) for one in attributes}


def _value(value: dict[str, Any]) -> Any:
    [(kind, held)] = value.items()
    if kind == "arrayValue":
        return [_value(one) for one in held["values"]]
    return int(held) if kind == "intValue" else held


async def _headers(reader: asyncio.StreamReader) -> dict[str, str]:
    found: dict[str, str] = {}
    while line := (await reader.readline()).strip():
        name, _, value = line.decode().partition(":")
        found[name.lower()] = value.strip()
    return found


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding") != "chunked":
        return await reader.readexactly(int(headers.get("content-length", "0")))
    body = b""
    while size := int(await reader.readline(), 16):
        body += await reader.readexactly(size)
        await reader.readline()
    await reader.readline()
    return body
