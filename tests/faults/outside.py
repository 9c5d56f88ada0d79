"""A service outside that keeps a ledger and fails as it is told, and tools of every class that call it."""

import asyncio
import json
import os
import socket
import ssl
import struct
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Self

import httpx

from guardrails.approval import ApprovalPolicy, never
from tools.contract import Finding, Retry, Tool, contract
from tools.injection import IdempotencyKey, Transaction

CLASSES = ("read", "idempotent", "transactional", "unsafe", "reconciled")
"""The classes of effect, each the name of a tool; `reconciled` is unsafe and can be looked up."""
Answering = Literal["well", "never", "500", "429", "reset"]
Trouble = Literal["none", "malformed", "too large"]
QUICK = Retry(base_s=0.0, max_s=0.0)
NO_LINGER = struct.pack("ii", 1, 0)


@dataclass
class Service:
    """HTTP on loopback. `POST /<tool>` is an effect, unless its `Idempotency-Key` is known or it is a read.

    Attributes:
        answering: how it answers, after the effect; only 429 comes before it.
        ledger: tool and key of every effect.
        requests: tool, key and time of every request that could have one.
        arrived: is called at each of them, before the answer; nothing goes on until it has returned.
    """

    answering: Answering = "well"
    ledger: list[tuple[str, str]] = field(default_factory=list)
    requests: list[tuple[str, str, float]] = field(default_factory=list)
    arrived: Callable[[str], Any] | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self._closed = socket.socket()
        self._closed.bind(("127.0.0.1", 0))  # bound and never listening: whoever connects is refused
        self._open: set[asyncio.Task[None]] = set()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed.close()
        self._server.close()
        for one in self._open:
            one.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    @property
    def refusing_url(self) -> str:
        return f"http://127.0.0.1:{self._closed.getsockname()[1]}"

    def effects(self, tool: str) -> int:
        return sum(name == tool for name, _ in self.ledger)

    def asked(self, tool: str) -> list[float]:
        """Return when the tool has sent its requests."""
        return [at for name, _, at in self.requests if name == tool]

    def keys(self, tool: str) -> set[str]:
        return {key for name, key, _ in self.requests if name == tool}

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n")
            method, path, _ = head[0].split()
            headers = dict(line.split(": ", 1) for line in head[1:] if line)
            await reader.readexactly(int(headers.get("content-length", "0")))
            name = path.strip("/")
            if method == "get":
                _answer(writer, 200, {"happened": any(key == name for _, key in self.ledger)})
            else:
                await self._act(writer, name, headers.get("idempotency-key", ""))
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # whoever asked is gone
        finally:
            writer.close()

    async def _act(self, writer: asyncio.StreamWriter, name: str, key: str) -> None:
        self.requests.append((name, key, time.monotonic()))
        if self.answering == "429":
            _answer(writer, 429, {}, "Retry-After: 1\r\n")
            return
        known = bool(key) and (name, key) in self.ledger
        if name not in {"read", "transactional"} and not known:
            self.ledger.append((name, key))
        if self.arrived is not None:
            await self.arrived(name)
        if self.answering == "never":
            await asyncio.Event().wait()
        elif self.answering == "reset":
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
            writer.transport.abort()
        else:
            _answer(writer, 500 if self.answering == "500" else 200, {"done": name})


def _answer(writer: asyncio.StreamWriter, status: int, body: dict[str, Any], headers: str = "") -> None:
    text = json.dumps(body)
    head = f"HTTP/1.1 {status} Said\r\nConnection: close\r\nContent-Length: {len(text)}\r\n{headers}\r\n"
    writer.write((head + text).encode())


@dataclass(frozen=True)
class Where:
    """How the tools behave.

    Attributes:
        url: of the service.
        trouble: what is wrong with their results.
        timeout_s: of one attempt.
        before: is called before the request, with the tool's name.
        after: the same after its answer.
        look_up_url: of the service, for the hook.
        approval: asked whether a call needs approval.
    """

    url: str
    trouble: Trouble = "none"
    timeout_s: float = 30.0
    before: Callable[[str], None] = lambda _name: None
    after: Callable[[str], None] = lambda _name: None
    look_up_url: str = ""
    approval: ApprovalPolicy = never

    async def act(self, name: str, key: str = "") -> Any:
        """Send the request that is the effect."""
        self.before(name)
        async with _client() as client:
            answer = await client.post(f"{self.url}/{name}", headers={"Idempotency-Key": key} if key else {})
        answer.raise_for_status()
        self.after(name)
        if self.trouble == "malformed":
            endless: list[Any] = []
            endless.append(endless)
            return endless
        return f"{name} is done" + "!" * (50_000 if self.trouble == "too large" else 0)


def _client() -> httpx.AsyncClient:
    # The bare context spares the reading of all certificates; nothing here speaks TLS.
    return httpx.AsyncClient(verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), trust_env=False, timeout=60)


def tools_of_every_class(where: Where, *, retry: Retry = QUICK) -> list[Tool]:
    """Return a tool for each of `CLASSES`. The transactional one writes a ticket, then asks the service."""

    async def read(order: int) -> Any:
        """Look an order up."""
        del order
        return await where.act("read")

    async def idempotent(order: int, key: IdempotencyKey) -> Any:
        """Pay for an order, with a key."""
        del order
        return await where.act("idempotent", key)

    async def transactional(order: int, transaction: Transaction) -> Any:
        """Open a ticket about an order."""
        await transaction.execute(
            "insert into boring.ticket (tenant, title, body, created_by) values ('t', %s, '', 'test')",
            (f"order {order}",),
        )
        return await where.act("transactional")

    async def unsafe(order: int) -> Any:
        """Pay for an order."""
        del order
        return await where.act("unsafe")

    timeout_s, approval = where.timeout_s, where.approval
    return [
        contract(read, effect="read", retry=retry, timeout_s=timeout_s),
        contract(idempotent, effect="idempotent", retry=retry, timeout_s=timeout_s),
        contract(transactional, effect="transactional", retry=retry, timeout_s=timeout_s),
        contract(unsafe, timeout_s=timeout_s, approval=approval),
        _reconciled(where),
    ]


def _reconciled(where: Where) -> Tool:
    async def reconciled(order: int, key: IdempotencyKey) -> Any:
        """Pay for an order at a bank that can be asked."""
        del order
        return await where.act("reconciled", key)

    async def look_up(arguments: Mapping[str, Any], key: str) -> Finding:
        del arguments
        async with _client() as client:
            answer = await client.get(f"{where.look_up_url or where.url}/{key}")
        return Finding(happened=answer.json()["happened"], result="done, says the bank")

    return contract(reconciled, timeout_s=where.timeout_s, reconcile=look_up)


def crashing(at: str) -> Callable[[str], None]:
    """Return what ends the process at once where the tool is `at`."""

    def crash(name: str) -> None:
        if name == at:
            os._exit(CRASHED)

    return crash


CRASHED = 9
"""Exit code of a process that ended so."""
