"""Takes private data and secrets out of what is kept for tracing, and out of what leaves the process.

A finding is replaced by its kind in brackets, such as `[EMAIL]` or `[API_KEY]`. Redacting
twice is the same as redacting once.
"""

import re
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Final, Protocol

from observability.private_data import PRIVATE
from observability.secret_data import NAMED, SECRETS


class Finder(Protocol):
    """Finds some kind of private data or secrets in a text."""

    def replaced(self, text: str, small: str, /) -> str:
        """Return the text without what is found in it; `small` is the same in small letters."""
        ...


_DETECTORS: Final[Sequence[Finder]] = (*SECRETS, *PRIVATE)
_added: list[Finder] = []
"""What the settings add, whichever process of this interpreter they are of: redacting too much is safe."""
_HARMLESS: Final = re.compile(r"[A-Za-z_ .-]{0,19}|[a-z_]{1,16}(?:\.[a-z_]{1,16}){1,4}")
"""What no detector finds anything in: names, as most attributes hold."""
_REMEMBERED_CHARS: Final = 128
"""Up to which length texts are remembered: attributes of a run's spans are mostly the same."""
_SECRET: Final = re.compile(NAMED)
_NAMED: Final = (
    (re.compile(r"(?i)(?:^|.*[^a-z])(?:phone|mobile|fax|tel|telephone)(?:[ _-]?(?:no|number))?"), "PHONE"),
    (
        re.compile(r"(?i)(?:^|.*[^a-z])(?:dob|birth[ _-]?(?:day|date)|date[ _-]of[ _-]birth|born)"),
        "DATE_OF_BIRTH",
    ),
    (re.compile(r"(?i)(?:^|.*[^a-z])(?:ssn|social[ _-]security(?:[ _-]number)?)"), "SSN"),
    (re.compile(r"(?i)(?:^|.*[^a-z])passport(?:[ _-]?(?:no|number))?"), "PASSPORT"),
)
"""Kinds of what has a digit, by the name of its field."""
_KIND: Final = re.compile(r"\[[A-Z_]+\]")
"""What stands in place of a finding."""
_CAMEL: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")
_MOST_NAME_CHARS: Final = 60
_FEWEST_DIGITS: Final = 10**8


def redacted(text: str) -> str:
    """Return a text without the private data and secrets in it."""
    if _HARMLESS.fullmatch(text):
        return text
    return _remembered(text) if len(text) <= _REMEMBERED_CHARS else _looked_through(text)


def redacted_value(value: Any) -> Any:
    """Return a value as JSON has it without the private data and secrets in it, whatever is inside what.

    What stands under a name such as `password` is a secret, and what stands under `phone` with a digit in it
    is a phone number. Other types than those of JSON are returned as they are.
    """
    if isinstance(value, str):
        return redacted(value)
    if isinstance(value, Mapping):
        return {
            redacted(key) if isinstance(key, str) else key: _under(str(key), held)
            for key, held in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [redacted_value(one) for one in value]
    if isinstance(value, int) and abs(value) >= _FEWEST_DIGITS:
        told = str(value)
        return value if (left := redacted(told)) == told else left
    return value


@contextmanager
def looking_also_for(finders: Sequence[Finder]) -> Generator[None]:
    """Look for more as long as the block runs."""
    _added.extend(finders)
    _remembered.cache_clear()
    try:
        yield
    finally:
        for one in finders:
            _added.remove(one)
        _remembered.cache_clear()


def takes_long() -> bool:
    """Return whether even a short text should be looked through beside the event loop."""
    return bool(_added)


def _under(name: str, value: Any) -> Any:
    kind = _kind_named(name)
    if kind == "SECRET":
        return _secret(value)
    if not isinstance(value, str | int) or isinstance(value, bool):
        return redacted_value(value)
    if kind and any(one.isdigit() for one in str(value)):
        return f"[{kind}]"
    return redacted_value(value)


def _secret(value: Any) -> Any:
    """Return what stands under the name of a secret without it, in whatever it is."""
    if isinstance(value, Mapping):
        return {redacted_value(key): _secret(held) for key, held in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_secret(one) for one in value]
    if isinstance(value, bool) or not isinstance(value, str | int | float) or value in {"", 0}:
        return redacted_value(value)
    return value if _KIND.fullmatch(str(value)) else "[SECRET]"


@lru_cache(maxsize=1024)
def _kind_named(name: str) -> str:
    """Return what a field of this name holds, as far as the name tells; empty if it does not."""
    words = _CAMEL.sub("_", name[-_MOST_NAME_CHARS:])
    if _SECRET.fullmatch(words):
        return "SECRET"
    return next((kind for pattern, kind in _NAMED if pattern.fullmatch(words)), "")


@lru_cache(maxsize=2048)
def _remembered(text: str) -> str:
    return _looked_through(text)


def _looked_through(text: str) -> str:
    small = text.lower()
    for detector in _DETECTORS:
        text = detector.replaced(text, small)
    for detector in _added:
        text = detector.replaced(text, text.lower())
    return text
