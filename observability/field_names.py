"""What the name of a field tells of what stands under it."""

import re
from functools import lru_cache
from typing import Final

from observability.characters import folded
from observability.secret_names import NAMED

_SECRET: Final = re.compile(NAMED)
_MANY: Final = r"s?(?:[ _-]?\d{1,3})?"
_NUMBER: Final = rf"(?:[ _-]?(?:no|number))?{_MANY}"
_KINDS: Final = (
    (
        re.compile(rf"(?i)(?:^|.*[^a-z])(?:(?:tele|cell|home|work|office)?phone|mobile|fax|tel){_NUMBER}"),
        "PHONE",
    ),
    (
        re.compile(rf"(?i)(?:^|.*[^a-z])(?:dob|birth[ _-]?(?:day|date)|date[ _-]of[ _-]birth|born){_MANY}"),
        "DATE_OF_BIRTH",
    ),
    (re.compile(rf"(?i)(?:^|.*[^a-z])(?:ssn|social[ _-]security){_NUMBER}"), "SSN"),
    (re.compile(rf"(?i)(?:^|.*[^a-z])passport{_NUMBER}"), "PASSPORT"),
)
"""Kinds of what has a digit."""
_CAMEL: Final = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_MOST_CHARS: Final = 60


@lru_cache(maxsize=1024)
def kind_named(name: str) -> str:
    """Return what a field of this name holds, as far as the name tells; empty if it does not."""
    words = _CAMEL.sub("_", folded(name)[-_MOST_CHARS:])
    if _SECRET.fullmatch(words):
        return "SECRET"
    return next((kind for pattern, kind in _KINDS if pattern.fullmatch(words)), "")
