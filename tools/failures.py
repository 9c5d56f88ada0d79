"""What a tool's failure means: whether it may pass, and whether the call may have happened all the same."""

import asyncio
import errno
from dataclasses import dataclass
from http.client import HTTPException
from ssl import SSLError
from typing import Literal

import psycopg
from langgraph.errors import GraphBubbleUp
from psycopg_pool import PoolTimeout

from core.client_errors import HttpAnswer, error_text, http_answer, is_never_sent, named_error
from core.errors import ThreadBusyError, ToolError, TransientError

Happened = Literal["no", "unknown", "failed"]
"""`no`: it certainly did not happen. `unknown`: nobody answered. `failed`: the tool itself says it failed."""
_LOST = (TransientError, TimeoutError, ConnectionError, EOFError, HTTPException, SSLError)
_LOST_ERRNO = {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.ETIMEDOUT, errno.EPIPE}
# Clients' errors are told by name, as in `core.client_errors`.
_LOST_NAMES = {
    *("TransportError", "ConnectionError", "Timeout", "ClientConnectionError", "APIConnectionError"),
    *("URLError", "ChunkedEncodingError", "ReadTimeoutError", "ProtocolError", "SMTPServerDisconnected"),
    *("ClosedResourceError", "BrokenResourceError", "EndOfStream"),
}
_TOO_MANY, _SERVER_ERROR, _UNAVAILABLE = 429, 500, 503


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
        return Failure(error_text(error), transient=False, happened="no")
    if (answer := http_answer(error)) is not None:
        return _of_answer(name, answer)
    return _of_exception(name, error, timeout_s)


def _of_exception(name: str, error: BaseException, timeout_s: float) -> Failure:
    text = f"{name} failed: {named_error(error)}"
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if is_never_sent(error):
        return Failure(text, transient=True, happened="no", counts=True)
    if isinstance(error, psycopg.OperationalError):
        happened: Happened = "unknown" if is_connection_lost(error) else "no"
        return Failure(text, transient=True, happened=happened, counts=happened == "unknown")
    if isinstance(error, TimeoutError):
        text = f"{name} gave no result within {timeout_s:g} s."
        return Failure(text, transient=True, happened="unknown", counts=True, timed_out=True)
    if isinstance(error, _LOST) or kinds & _LOST_NAMES or _errno(error) in _LOST_ERRNO:
        return Failure(text, transient=True, happened="unknown", counts=True)
    if isinstance(error, asyncio.CancelledError):
        text = f"{name} cancelled itself."
    return Failure(text, transient=False, happened="failed")


def _errno(error: BaseException) -> int | None:
    return error.errno if isinstance(error, OSError) else None


def is_connection_lost(error: BaseException | None) -> bool:
    """Tell whether the database went away, so that nobody knows what it did last."""
    if not isinstance(error, psycopg.OperationalError) or isinstance(error, PoolTimeout):
        return False
    return error.sqlstate is None or error.sqlstate.startswith(("08", "57P"))


def _of_answer(name: str, answer: HttpAnswer) -> Failure:
    status, wait_s = answer.status, answer.retry_after_s
    text = f"{name} failed: the service answered HTTP {status}."
    if status in {_TOO_MANY, _UNAVAILABLE} and wait_s:
        text += f" It asks to wait {wait_s:g} s."
    if status == _TOO_MANY:
        return Failure(text, transient=True, happened="no", retry_after_s=wait_s)
    if status < _SERVER_ERROR:
        return Failure(text, transient=False, happened="no")
    return Failure(text, transient=True, happened="unknown", retry_after_s=wait_s, counts=True)
