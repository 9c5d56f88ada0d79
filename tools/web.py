"""The tool that reads a page of the public web."""

import asyncio
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import Message
from typing import Annotated

import httpx
from pydantic import Field

from core.errors import ToolError
from core.loading import load
from core.protocols import Example
from core.settings import settings
from core.state import Source
from core.trust import system_trust
from tools.addresses import PublicTransport, Resolve, resolved
from tools.contract import Tool, ToolResult, contract
from tools.download import ACCEPTED, bounded_body

MAX_BYTES = 3_000_000
MAX_CHARS = 12_000
MAX_REDIRECTS = 5
TIMEOUT_S = 30.0
_STEP_S = 10.0
_OK = 200
_TOO_MANY_REQUESTS = 429
_HTML = {"text/html", "application/xhtml+xml"}
_HEADERS = {
    "User-Agent": "boring-agents",
    "Accept": "text/html, text/*;q=0.9, application/json;q=0.8",
    "Accept-Encoding": ACCEPTED,
}


@dataclass(frozen=True, slots=True)
class Page:
    """What was found at an address.

    Attributes:
        url: the address after all redirects.
        title: empty where there is none.
        text: readable text.
    """

    url: str
    title: str
    text: str


def web_reader(
    *,
    hosts: Sequence[str] | None = None,
    max_bytes: int = MAX_BYTES,
    tls: ssl.SSLContext | None = None,
    resolve: Resolve = resolved,
) -> Tool:
    """Return the tool `web_fetch`.

    Args:
        hosts: names, as `name` or `name:port`, that may be reached although their addresses are private or
            their port is neither 80 nor 443. Unset, those of `BORING_WEB_HOSTS`.
        max_bytes: of a page, packed or unpacked; larger ones are refused.
        tls: what is trusted; unset, what the operating system trusts.
        resolve: looks names up.
    """
    named = settings().web_hosts if hosts is None else tuple(hosts)

    async def web_fetch(
        url: Annotated[
            str, Field(max_length=2000, pattern=r"^[Hh][Tt][Tt][Pp][Ss]?://", description="http or https")
        ],
        start: Annotated[int, Field(ge=0, description="go on from this character of a long page")] = 0,
    ) -> ToolResult:
        """Read a web page as text."""
        transport = PublicTransport(named, tls or system_trust(), resolve=resolve)
        page = await _fetch(url, transport, max_bytes)
        return _part(page, start)

    return contract(
        web_fetch,
        effect="read",
        timeout_s=TIMEOUT_S,
        max_concurrency=8,
        rest="Go on with a later start.",
        examples=(Example("What is on https://example.com/news?", {"url": "https://example.com/news"}),),
    )


async def _fetch(url: str, transport: httpx.AsyncBaseTransport, max_bytes: int) -> Page:
    try:
        async with (
            httpx.AsyncClient(
                transport=transport,
                headers=_HEADERS,
                timeout=_STEP_S,
                trust_env=False,
                follow_redirects=True,
                max_redirects=MAX_REDIRECTS,
            ) as client,
            client.stream("GET", url) as response,
        ):
            return await _page(response, max_bytes)
    except httpx.TooManyRedirects as error:
        raise ToolError(f"{url} redirects more than {MAX_REDIRECTS} times.") from error
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise ToolError(f"{url!r} is no address that can be read: {error}") from error


async def _page(response: httpx.Response, max_bytes: int) -> Page:
    kind, charset = _content_type(response)
    if response.is_server_error or response.status_code == _TOO_MANY_REQUESTS:
        response.raise_for_status()
    if response.status_code != _OK:
        raise ToolError(f"{response.url} answered {response.status_code} {response.reason_phrase}.")
    if not (kind.startswith("text/") or kind.endswith("+json") or kind in {*_HTML, "application/json"}):
        raise ToolError(
            f"{response.url} is {kind or 'of no stated type'}; only HTML, text and JSON can be read."
        )
    body = await bounded_body(response, max_bytes)
    url = str(response.url)
    if kind not in _HTML:
        return Page(url, "", _decoded(body, charset))
    await load("trafilatura")
    title, text = await asyncio.to_thread(_readable, _decoded(body, charset) if charset else body, url)
    if not text:
        raise ToolError(f"{url} holds no readable text; it may be made by scripts in the browser.")
    return Page(url, title, text)


def _content_type(response: httpx.Response) -> tuple[str, str | None]:
    header = Message()
    header["content-type"] = response.headers.get("content-type", "application/octet-stream")
    return header.get_content_type(), header.get_content_charset()


def _decoded(body: bytes, charset: str | None) -> str:
    try:
        return body.decode(charset or "utf-8-sig", errors="replace")
    except LookupError:
        return body.decode("utf-8-sig", errors="replace")


def _readable(html: bytes | str, url: str) -> tuple[str, str]:
    """Return a page's title and its main text, or all of its text where no part is the main one."""
    from trafilatura import bare_extraction, html2txt  # noqa: PLC0415 - large, and loaded by now

    found = bare_extraction(html, url=url, include_comments=False, include_tables=True, with_metadata=True)
    if found is None or isinstance(found, dict):
        return "", html2txt(html)
    return found.title or "", found.text or html2txt(html)


def _part(page: Page, start: int) -> ToolResult:
    if start and start >= len(page.text):
        raise ToolError(f"start is {start}, but the page has {len(page.text)} characters.")
    text = page.text[start : start + MAX_CHARS]
    end = start + len(text)
    head = "\n".join(line for line in (page.url, page.title) if line)
    more = f"\n[characters {start} to {end} of {len(page.text)}; go on with start={end}]"
    shown = f"{head}\n\n{text}{more if end < len(page.text) else ''}"
    return ToolResult(shown, (Source(source=page.url, section=page.title, text=text),))
