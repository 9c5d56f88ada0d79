"""The tool that speaks to HTTP services, of the hosts that the operator names only."""

import json
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import httpx
from pydantic import Field

from core.errors import ConfigurationError, ToolError
from core.settings import settings
from core.trust import system_trust
from tools.contract import Effect, Tool, contract
from tools.download import ACCEPTED, bounded_body
from tools.injection import IdempotencyKey

Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
READING: tuple[Method, ...] = ("GET", "HEAD")
MAX_BYTES = 1_000_000
MAX_REDIRECTS = 5
_SAID_CHARS = 500
_TIMEOUT_S = 30.0
_TOO_MANY_REQUESTS = 429
_HTTPS_PORT = 443

Url = Annotated[str, Field(max_length=2000, pattern=r"^https?://", description="the full address")]


def http_request(  # noqa: PLR0913 - each is one thing that an operator sets
    hosts: Sequence[str] | None = None,
    methods: Sequence[Method] = READING,
    *,
    name: str = "http_request",
    headers: Mapping[str, str] | None = None,
    max_bytes: int = MAX_BYTES,
    tls: ssl.SSLContext | None = None,
) -> Tool:
    """Return a tool that makes HTTP requests; by default `http_request`, which only reads.

    With GET and HEAD alone it is a `read` tool. With any other method it is `idempotent`: every request
    carries the header `Idempotency-Key`, the same for each repeat of a call, and the service has to heed it.

    Args:
        hosts: the only hosts that are reached, at whatever addresses: `name` for https at its usual port,
            `name:port` for http or https at that port. Unset, those of `BORING_HTTP_HOSTS`.
        methods: what may be asked.
        name: of the tool, where there are several.
        headers: sent with every request, such as `Authorization`; the model never sees them.
        max_bytes: of a response, packed or unpacked.
        tls: what is trusted; unset, what the operating system trusts.

    Raises:
        ConfigurationError: no host is named.
        ValueError: no method is named.
    """
    allowed = frozenset(host.lower() for host in (settings().http_hosts if hosts is None else hosts))
    if not allowed:
        raise ConfigurationError(f"{name} may reach no host: name some in BORING_HTTP_HOSTS.")
    if not methods:
        raise ValueError("methods is empty, expected at least one of GET, HEAD, POST, PUT, PATCH, DELETE")
    service = _Service(allowed, dict(headers or {}), max_bytes, tls)
    make = _asking if set(methods) <= set(READING) else _changing
    tool = make(service, tuple(methods))
    where = f"{tool.description} Hosts: {', '.join(sorted(allowed))}."
    return replace(tool, name=name, description=where)


@dataclass(frozen=True, slots=True)
class _Service:
    """What a request may reach, what goes with it, and how its answer is read."""

    hosts: frozenset[str]
    headers: dict[str, str]
    max_bytes: int
    tls: ssl.SSLContext | None

    async def answer(self, method: str, url: str, *, body: str | None = None, key: str | None = None) -> str:
        """Make a request and return the status, the type and the body of its answer."""
        headers = {"Accept-Encoding": ACCEPTED, "User-Agent": "boring-agents", **self.headers}
        if key is not None:
            headers["Idempotency-Key"] = key
        if body is not None:
            headers["Content-Type"] = "application/json" if _is_json(body) else "text/plain; charset=utf-8"
        content = None if body is None else body.encode(errors="replace")
        try:
            request = httpx.Request(method, url, headers=headers, content=content)
        except httpx.InvalidURL as error:
            raise ToolError(f"{url!r} is no address: {error}") from error
        tls = self.tls or system_trust()
        async with httpx.AsyncClient(verify=tls, trust_env=False, timeout=_TIMEOUT_S) as client:
            return await self._followed(client, request)

    async def _followed(self, client: httpx.AsyncClient, request: httpx.Request) -> str:
        for _ in range(MAX_REDIRECTS + 1):
            self._check(request.url)
            response = await client.send(request, stream=True, follow_redirects=False)
            try:
                if response.next_request is None:
                    return await _told(response, self.max_bytes)
                if request.url.scheme == "https" and response.next_request.url.scheme != "https":
                    raise ToolError(f"{request.url} redirects from https to http, which is not followed.")
                request = response.next_request
            finally:
                await response.aclose()
        raise ToolError(f"{request.url} redirects more than {MAX_REDIRECTS} times.")

    def _check(self, url: httpx.URL) -> None:
        if url.scheme not in {"http", "https"} or url.userinfo:
            raise ToolError(
                f"{url!r} may not be reached: only http and https, and no password in the address."
            )
        host = url.raw_host.decode("ascii").lower()
        name = f"[{host}]" if ":" in host else host.rstrip(".")
        port = url.port or {"http": 80, "https": _HTTPS_PORT}[url.scheme]
        usual = url.scheme == "https" and port == _HTTPS_PORT and name in self.hosts
        if not usual and f"{name}:{port}" not in self.hosts:
            known = ", ".join(sorted(self.hosts))
            raise ToolError(f"{url.scheme}://{name}:{port} may not be reached; only these hosts: {known}.")


def _asking(service: _Service, methods: tuple[Method, ...]) -> Tool:
    async def http_request(url: Url, method: Method = methods[0]) -> str:
        """Ask an HTTP service for something."""
        return await service.answer(method, url)

    return _contract(http_request, methods, effect="read")


def _changing(service: _Service, methods: tuple[Method, ...]) -> Tool:
    async def http_request(
        url: Url,
        key: IdempotencyKey,
        method: Method = methods[0],
        body: Annotated[str | None, Field(max_length=100_000, description="JSON or plain text")] = None,
    ) -> str:
        """Make a request to an HTTP service."""
        return await service.answer(method, url, body=body, key=key)

    return _contract(http_request, methods, effect="idempotent")


def _contract(function: Callable[..., Any], methods: tuple[Method, ...], *, effect: Effect) -> Tool:
    # The model is told the methods that this tool has, not those that there are.
    one_of: Any = Literal
    function.__annotations__["method"] = one_of[methods]
    return contract(function, effect=effect, timeout_s=_TIMEOUT_S, max_concurrency=8)


async def _told(response: httpx.Response, max_bytes: int) -> str:
    """Return an answer as the model reads it.

    Raises:
        httpx.HTTPStatusError: the service is busy or broken; whether to try again is the runtime's to say.
        ToolError: the service refused the request.
    """
    if response.is_server_error or response.status_code == _TOO_MANY_REQUESTS:
        response.raise_for_status()
    status = f"{response.status_code} {response.reason_phrase}"
    text = await _text(response, max_bytes)
    if response.is_client_error:
        raise ToolError(f"{response.request.method} {response.url}: {status}\n{text[:_SAID_CHARS]}")
    return f"{status}\n{text}"


async def _text(response: httpx.Response, max_bytes: int) -> str:
    try:
        body = await bounded_body(response, max_bytes)
    except ToolError as error:  # what was asked for is done all the same
        return f"[the body is left out: {error}]"
    try:
        text = body.decode(response.charset_encoding or "utf-8")
    except (UnicodeDecodeError, LookupError):
        text = "\0"
    kind = response.headers.get("content-type", "no stated type")
    return f"[{len(body):,} bytes of {kind}, which is not text]" if "\0" in text else text


def _is_json(body: str) -> bool:
    try:
        json.loads(body)
    except ValueError:
        return False
    return True
