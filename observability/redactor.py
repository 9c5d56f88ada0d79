"""Takes private data and secrets out of what is kept for tracing, and out of what leaves the process.

A finding is replaced by its kind in brackets, such as `[EMAIL]` or `[API_KEY]`. Redacting
twice is the same as redacting once.
"""

import re
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Final, Protocol

from observability.characters import folded
from observability.field_names import kind_named
from observability.private_data import PRIVATE
from observability.secret_data import SECRETS


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
_KIND: Final = re.compile(r"\[[A-Z_]+\]")
"""What stands in place of a finding."""
_NAMING: Final = frozenset(
    {"name", "key", "field", "header", "label", "id", "type", "system", "parameterkey"}
)
"""Fields, in small letters, that may name what stands in one of `_VALUES` beside them."""
_VALUES: Final = frozenset(
    {"value", "values", "Value", "Values", "ParameterValue", "default", "example", "examples", "schema"}
)
_MOST_COUNTED: Final = 999
"""A number up to this one under a name in the plural, such as `secrets`, tells how many there are."""
_NUMBER: Final = re.compile(r"[A-Z+(]{0,3}\d(?:[ ()./-]{0,2}\d){6,14}")
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
    if isinstance(value, int | float):
        return _number(value)
    if isinstance(value, Mapping):
        beside = _kind_beside(value)
        return {
            redacted(key) if isinstance(key, str) else key: _of_kind(beside, held)
            if beside and key in _VALUES
            else _under(str(key), held)
            for key, held in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        if value and all(map(_is_pair, value)):
            return [[redacted(name), _under(name, held)] for name, held in value]
        return [redacted_value(one) for one in value]
    return value


def _number(value: float) -> float | str:
    """Return a number, or what its digits are of somebody."""
    if abs(value) < _FEWEST_DIGITS or value % 1:
        return value
    told = str(int(value))
    return value if (left := redacted(told)) == told else left


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


def _is_pair(one: Any) -> bool:
    """Return whether it is a name with its value, as lists of headers hold them."""
    return isinstance(one, list | tuple) and len(one) == 2 and isinstance(one[0], str)  # noqa: PLR2004 - a pair


def _kind_beside(held: Mapping[Any, Any]) -> str:
    """Return what a field `value` holds, as far as a sibling such as `name` tells; empty if it does not."""
    if _VALUES.isdisjoint(held):
        return ""
    naming = (held[key] for key in held if str(key).lower() in _NAMING)
    return next((kind for name in naming if isinstance(name, str) and (kind := kind_named(name))), "")


def _under(name: str, value: Any) -> Any:
    kind = kind_named(name)
    counted = name[-1:] in {"s", "S"} and isinstance(value, int) and value <= _MOST_COUNTED
    return _of_kind(kind, value) if kind and not counted else redacted_value(value)


def _of_kind(kind: str, value: Any) -> Any:
    """Return a value without what a name tells that it is, in whatever it is."""
    if kind == "SECRET":
        return _secret(value)
    if isinstance(value, Mapping):
        return {
            redacted_value(name): f"[{kind}]" if _NUMBER.fullmatch(str(held)) else _under(str(name), held)
            for name, held in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [_of_kind(kind, one) for one in value]
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return redacted_value(value)
    return f"[{kind}]" if any(one.isdigit() for one in str(value)) else redacted_value(value)


def _secret(value: Any) -> Any:
    """Return what stands under the name of a secret without it, in whatever it is."""
    if isinstance(value, Mapping):
        return {redacted_value(key): _secret(held) for key, held in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_secret(one) for one in value]
    if isinstance(value, bool) or not isinstance(value, str | int | float) or value in {"", 0}:
        return redacted_value(value)
    if isinstance(value, float) and value % 1:  # a price of a token, or its time
        return value
    return value if _KIND.fullmatch(str(value)) else "[SECRET]"


@lru_cache(maxsize=2048)
def _remembered(text: str) -> str:
    return _looked_through(text)


def _looked_through(text: str) -> str:
    seen = folded(text)
    found = _found(seen)
    if seen == text:
        return found
    if found == seen:
        return text
    as_written = _found(text)
    return as_written if folded(as_written) == found else found


def _found(text: str) -> str:
    small = text.lower()
    for detector in _DETECTORS:
        text = detector.replaced(text, small)
    for detector in _added:
        text = detector.replaced(text, text.lower())
    return text
