"""What a tool's failure means: whether it may pass, and whether the call may have happened all the same."""

import asyncio
import errno
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from ssl import SSLError
from typing import Any, Literal

import psycopg
from langgraph.errors import GraphBubbleUp
from psycopg_pool import PoolTimeout

from core.errors import ThreadBusyError, ToolError, TransientError

Happened = Literal["no", "unknown", "failed"]
"""`no`: it certainly did not happen. `unknown`: nobody answered. `failed`: the tool itself says it failed."""
_LOST = (TransientError, TimeoutError, ConnectionError, EOFError, HTTPException, SSLError)
_LOST_ERRNO = {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.ETIMEDOUT, errno.EPIPE}
# HTTP clients are many, and their errors are told by name: httpx, httpx2, requests, aiohttp.
_NEVER_SENT_NAMES = {"ConnectError", "ConnectTimeout", "PoolTimeout", "ClientConnectorError"}
_LOST_NAMES = {
    *("TransportError", "ConnectionError", "Timeout", "ClientConnectionError", "APIConnectionError"),
    *("URLError", "ChunkedEncodingError", "ReadTimeoutError", "ProtocolError", "SMTPServerDisconnected"),
    *("ClosedResourceError", "BrokenResourceError", "EndOfStream"),
}
_FIRST_ERROR, _TOO_MANY, _SERVER_ERROR, _UNAVAILABLE, _LAST_ERROR = 400, 429, 500, 503, 600


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed attempt.

    Attributes:
        text: for the model.
        transient: another attempt may succeed.
        happened: what is known of the effect.
        retry_after_s: how long the service asked to be left alone.
        counts: speaks against the tool's health, for its circuit breaker.
        timed_out: there was no answer in time.
    """

    text: str
    transient: bool
    happened: Happened
    retry_after_s: float = 0.0
    counts: bool = False
    timed_out: bool = False


def passing(error: BaseException) -> BaseException | None:
    """Return what has to pass through a call: a graph interrupt or a lost thread, None for a failure.

    A group, such as a `TaskGroup` raises, passes as the first of its errors where it holds no failure.
    """
    if isinstance(error, BaseExceptionGroup):
        inner = [passing(one) for one in error.exceptions]
        return inner[0] if None not in inner else None
    return error if isinstance(error, (GraphBubbleUp, ThreadBusyError)) else None


def failure_of(name: str, error: BaseException, timeout_s: float) -> Failure:
    """Return what an exception of the tool `name` means, after at most `timeout_s` seconds."""
    if isinstance(error, BaseExceptionGroup):
        failures = (one for one in error.exceptions if passing(one) is None)
        return failure_of(name, next(failures, error.exceptions[0]), timeout_s)
    if isinstance(error, ToolError):
        return Failure(str(error), transient=False, happened="no")
    if (answered := _status_of(error)) is not None:
        return _of_status(name, *answered)
    return _of_exception(name, error, timeout_s)


def _of_exception(name: str, error: BaseException, timeout_s: float) -> Failure:
    text = f"{name} failed: {type(error).__name__}: {error}"
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if isinstance(error, ConnectionRefusedError) or kinds & _NEVER_SENT_NAMES:
        return Failure(text, transient=True, happened="no", counts=True)
    if isinstance(error, psycopg.OperationalError):
        happened: Happened = "unknown" if is_connection_lost(error) else "no"
        return Failure(text, transient=True, happened=happened, counts=happened == "unknown")
    if isinstance(error, TimeoutError):
        text = f"{name} gave no result within {timeout_s:g} s."
        return Failure(text, transient=True, happened="unknown", counts=True, timed_out=True)
    if isinstance(error, _LOST) or kinds & _LOST_NAMES or getattr(error, "errno", None) in _LOST_ERRNO:
        return Failure(text, transient=True, happened="unknown", counts=True)
    if isinstance(error, asyncio.CancelledError):
        text = f"{name} cancelled itself."
    return Failure(text, transient=False, happened="failed")


def is_connection_lost(error: BaseException | None) -> bool:
    """Tell whether the database went away, so that nobody knows what it did last."""
    if not isinstance(error, psycopg.OperationalError) or isinstance(error, PoolTimeout):
        return False
    return error.sqlstate is None or error.sqlstate.startswith(("08", "57P"))


def _status_of(error: BaseException) -> tuple[int, str] | None:
    """Return the HTTP status and `Retry-After` of a client's error about an answer, or None."""
    answer: Any = getattr(error, "response", None) or error
    status = getattr(answer, "status_code", getattr(answer, "status", None))
    if not isinstance(status, int) or not _FIRST_ERROR <= status < _LAST_ERROR:
        return None
    headers = getattr(answer, "headers", None) or {}
    return status, str(headers.get("Retry-After", ""))


def _of_status(name: str, status: int, retry_after: str) -> Failure:
    wait_s = _retry_after_s(retry_after)
    text = f"{name} failed: the service answered HTTP {status}."
    if status in {_TOO_MANY, _UNAVAILABLE} and wait_s:
        text += f" It asks to wait {wait_s:g} s."
    if status == _TOO_MANY:
        return Failure(text, transient=True, happened="no", retry_after_s=wait_s)
    if status < _SERVER_ERROR:
        return Failure(text, transient=False, happened="no")
    return Failure(text, transient=True, happened="unknown", retry_after_s=wait_s, counts=True)


def _retry_after_s(value: str) -> float:
    """Return the seconds of a `Retry-After` header, 0 where there is none that can be read.

    Source: RFC 9110, section 10.2.3.
    """
    try:
        seconds = float(value)
    except ValueError:
        try:
            at = parsedate_to_datetime(value)
        except ValueError:
            return 0.0
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        seconds = (at - datetime.now(UTC)).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else 0.0
