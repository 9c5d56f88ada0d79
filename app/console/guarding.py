"""What stands before every page: only this site's own pages may ask, and nothing in a page may run."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.console.viewing import let_in

LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "[::1]"})
COOKIE: Final = "boring_console"
FORM_FIELD: Final = "token"
_MOST_FORM_BYTES: Final = 1_000_000
_HEADERS: Final[Mapping[str, str]] = {
    "content-security-policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self';"
    " img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class Guard:
    """Refuses other sites and who may see nothing; sends with each answer what a browser may do with it.

    Attributes:
        hosts: the only names that the console is asked for under; None where a server in front decides.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str] | None) -> None:
        self._app = app
        self.hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        why = self._refused(Headers(scope=scope), str(scope["method"])) or let_in(scope)
        answer: ASGIApp = self._app if why is None else PlainTextResponse(why, status_code=403)
        await answer(scope, receive, guarded)

    def _refused(self, headers: Headers, method: str) -> str | None:
        host = headers.get("host", "")
        if self.hosts is not None and host.rpartition(":")[0] not in self.hosts and host not in self.hosts:
            return "This console answers on the loopback address only.\n"
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != host:
            return "Another site asked for this page.\n"
        site = headers.get("sec-fetch-site", "none")
        is_link = method == "GET" and headers.get("sec-fetch-mode") == "navigate"
        if site not in {"same-origin", "none"} and not is_link:
            return "Another site asked for this page.\n"
        return None


def token_of(request: Request) -> str:
    """Return what the forms of this visitor carry; a new one is to be set by `remember_token`."""
    return request.cookies.get(COOKIE) or secrets.token_urlsafe(32)


def remember_token(request: Request, response: Response, token: str) -> None:
    """Have the visitor's browser keep the token."""
    secure = request.url.scheme == "https"
    response.set_cookie(COOKIE, token, path="/", httponly=True, samesite="strict", secure=secure)


async def form_of(request: Request) -> dict[str, str]:
    """Return the fields of a form that one of our own pages has sent.

    Raises:
        HTTPException: it is too long, no such form, or was not sent by our own page.
    """
    if request.headers.get("content-type", "").partition(";")[0] != "application/x-www-form-urlencoded":
        raise HTTPException(415, "This address takes a form of the console only.")
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > _MOST_FORM_BYTES:
            raise HTTPException(413, f"The form has more than {_MOST_FORM_BYTES} bytes. Send less.")
    try:
        fields = dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=50))
    except ValueError as error:
        raise HTTPException(400, "The form can't be read.") from error
    known, given = request.cookies.get(COOKIE, ""), fields.pop(FORM_FIELD, "")
    if not known or not secrets.compare_digest(known.encode(), given.encode()):
        raise HTTPException(403, "The form is not from this console, or too old. Open the page anew.")
    return fields
