"""What a tool's failure means: whether it may pass, and whether the call may have happened all the same."""

import asyncio
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal

import httpx
import psycopg

from core.errors import ToolError, TransientError

Happened = Literal["no", "unknown", "failed"]
"""`no`: it certainly did not happen. `unknown`: nobody answered. `failed`: the tool itself says it failed."""
_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, ConnectionRefusedError)
_LOST = (TransientError, TimeoutError, ConnectionError, httpx.TransportError, psycopg.OperationalError)
_ROLLED_BACK = (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected)
_TOO_MANY, _UNAVAILABLE, _SERVER_ERROR = 429, 503, 500


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


def failure_of(name: str, error: BaseException, timeout_s: float) -> Failure:
    """Return what an exception of the tool `name` means, after at most `timeout_s` seconds."""
    if isinstance(error, ToolError):
        return Failure(str(error), transient=False, happened="no")
    if isinstance(error, httpx.HTTPStatusError):
        return _of_status(name, error.response)
    return _of_exception(name, error, timeout_s)


def _of_exception(name: str, error: BaseException, timeout_s: float) -> Failure:
    text = f"{name} failed: {type(error).__name__}: {error}"
    if isinstance(error, _NEVER_SENT):
        return Failure(text, transient=True, happened="no", counts=True)
    if isinstance(error, _ROLLED_BACK):
        return Failure(text, transient=True, happened="no")
    if isinstance(error, TimeoutError):
        text = f"{name} gave no result within {timeout_s:g} s."
        return Failure(text, transient=True, happened="unknown", counts=True, timed_out=True)
    if isinstance(error, _LOST):
        return Failure(text, transient=True, happened="unknown", counts=True)
    if isinstance(error, asyncio.CancelledError):
        text = f"{name} cancelled itself."
    return Failure(text, transient=False, happened="failed")


def _of_status(name: str, response: httpx.Response) -> Failure:
    status = response.status_code
    wait_s = _retry_after_s(response.headers.get("Retry-After", ""))
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
