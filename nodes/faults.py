"""What a failure of the model means: whether it may pass, and how to tell it to the user."""

import re

import httpx
from langchain_core.exceptions import ContextOverflowError

from core.client_errors import error_text, http_status, named_error
from core.errors import BoringError, ConfigurationError, TransientError

MODEL_ATTEMPTS = 3
"""Attempts at a step of the model that fails transiently, before the run ends with the failure."""
_PASSING_STATUS = {408, 409, 425, 429, 500, 502, 503, 504, 529}
_SERVER_ERROR = 500
_MISCONFIGURED_STATUS = {401, 403, 404}
_TOO_LONG_STATUS = {400, 413, 422}
_TOO_LONG = re.compile(
    r"context.{0,20}(length|window|size)|exceed_context|too (long|many tokens)|maximum.{0,20}tokens",
    re.IGNORECASE,
)
"""What endpoints say of such a request: OpenAI, vLLM, llama.cpp and others each in their own words."""
_PASSING_NAMES = {"APIConnectionError", "APITimeoutError"}


def is_transient(error: Exception) -> bool:
    """Tell whether another attempt may succeed.

    Clients' own errors are told by status code and name, so that no client has to be imported here.
    """
    if isinstance(error, TransientError):
        return True
    return http_status(error) in _PASSING_STATUS or is_unreachable(error)


def is_unreachable(error: Exception) -> bool:
    """Tell whether the endpoint did not answer at all, so that its address may be an old one."""
    if isinstance(error, (httpx.TransportError, ConnectionError)):
        return True
    return any(kind.__name__ in _PASSING_NAMES for kind in type(error).__mro__)


def is_unhealthy(error: Exception) -> bool:
    """Tell whether a failure speaks against the model's health, for its circuit breaker."""
    status = http_status(error)
    if status is not None:
        return status >= _SERVER_ERROR
    return isinstance(error, (TransientError, TimeoutError)) or is_unreachable(error)


def is_misconfigured(error: Exception) -> bool:
    """Tell whether the operator has to change something before this model can be used."""
    return isinstance(error, ConfigurationError) or http_status(error) in _MISCONFIGURED_STATUS


def is_refused(error: Exception) -> bool:
    """Tell whether the endpoint answered, but not with what was asked for; see HTTP 4xx without 429."""
    status = http_status(error)
    return status is not None and status < _SERVER_ERROR and status not in _PASSING_STATUS


def is_too_long(error: Exception) -> bool:
    """Tell whether the endpoint says that a request does not fit into the model's context."""
    if isinstance(error, ContextOverflowError):
        return True
    return http_status(error) in _TOO_LONG_STATUS and _TOO_LONG.search(error_text(error)) is not None


def may_fall_back(error: Exception) -> bool:
    """Tell whether another model may do better: not with a request that is wrong or too long (HTTP 400)."""
    return is_transient(error) or is_unhealthy(error) or is_misconfigured(error)


def readable(error: Exception) -> str:
    """Return what the user is told when the model could not be used."""
    if isinstance(error, BoringError):
        return f"I could not go on: {error}"
    status = http_status(error)
    if status is not None:
        return f"I could not go on: the model's endpoint {_answer_of(error, status)}"
    if is_transient(error):
        return f"I could not go on: the model's endpoint can't be reached ({type(error).__name__})."
    return f"I could not go on: {named_error(error)}"


def _answer_of(error: Exception, status: int) -> str:
    if status in {401, 403}:
        return f"refused the key (HTTP {status}). Check OPENAI_API_KEY."
    if status == 404:  # noqa: PLR2004
        return "does not know this model (HTTP 404). Check BORING_MODEL."
    advice = " The request is too long for it, even cut short: ask for less." if is_too_long(error) else ""
    return f"answered with HTTP {status}.{advice}"
