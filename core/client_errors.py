"""What an exception of any client tells: its words, and the HTTP answer that it is about.

Clients are many and none is imported here. An exception may be as odd as whoever wrote it: one whose text or
whose attributes can't be read is told by its class.
"""

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

MAX_TEXT_CHARS: Final = 4000
"""Most characters of an exception's text that anybody is told."""
_LONGEST_WAIT_S: Final = 365 * 86_400.0
_FIRST_ERROR, _LAST_ERROR = 400, 600
# HTTP clients are many, and their errors are told by name: httpx, httpx2, requests, aiohttp.
_NEVER_SENT_NAMES = {"ConnectError", "ConnectTimeout", "PoolTimeout", "ClientConnectorError"}


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """An answer that is an error.

    Attributes:
        status: 400 to 599.
        retry_after_s: how long the service asks to be left alone; 0 where it says nothing that can be read.
    """

    status: int
    retry_after_s: float = 0.0


def http_answer(error: BaseException) -> HttpAnswer | None:
    """Return the HTTP answer that an exception is about, or None where it is about none.

    It is looked for as `response` of the exception (httpx, requests, openai), else as the exception itself
    (aiohttp). A response of `requests` is falsy where it is an error.
    """
    for answer in (_held(error, "response"), error):
        for name in ("status_code", "status"):
            status = _held(answer, name)
            if isinstance(status, int) and _FIRST_ERROR <= status < _LAST_ERROR:
                return HttpAnswer(int(status), _retry_after_s(_held(answer, "headers")))
    return None


def http_status(error: BaseException) -> int | None:
    """Return the status of the HTTP answer that an exception is about, 400 to 599, or None."""
    answer = http_answer(error)
    return None if answer is None else answer.status


def is_never_sent(error: BaseException) -> bool:
    """Tell whether there was no connection, so that nobody has heard of a request."""
    names = {kind.__name__ for kind in type(error).__mro__}
    return isinstance(error, ConnectionRefusedError) or bool(names & _NEVER_SENT_NAMES)


def error_text(error: BaseException) -> str:
    """Return the text of an exception, cut to `MAX_TEXT_CHARS`."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - whatever it is, it must not take the place of the error itself
        return "its text can't be read"
    if len(text) <= MAX_TEXT_CHARS:
        return text
    return f"{text[:MAX_TEXT_CHARS]}\n[cut: {len(text) - MAX_TEXT_CHARS} of {len(text)} characters left out.]"


def named_error(error: BaseException) -> str:
    """Return the class and the text of an exception."""
    return f"{type(error).__name__}: {error_text(error)}"


def _held(thing: Any, name: str) -> Any:
    try:
        return getattr(thing, name, None)
    except Exception:  # noqa: BLE001 - a property may raise anything; then it tells nothing
        return None


def _retry_after_s(headers: Any) -> float:
    """Return the seconds of the header `Retry-After`.

    Source: RFC 9110, section 10.2.3.
    """
    try:
        value = str(headers.get("Retry-After", ""))
    except Exception:  # noqa: BLE001 - headers of an unknown client may be no mapping
        return 0.0
    try:
        seconds = _seconds(value)
    except (ValueError, TypeError, OverflowError):
        return 0.0
    return min(max(0.0, seconds), _LONGEST_WAIT_S) if math.isfinite(seconds) else 0.0


def _seconds(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        at = parsedate_to_datetime(value)
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return (at - datetime.now(UTC)).total_seconds()
