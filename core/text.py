"""Text that can be stored: Postgres takes no NUL, UTF-8 no lone surrogate, JSON no infinite number."""

import math
from typing import Any, cast

MAX_BITS = 63
"""Checkpoints hold no longer integers; arguments of a tool read them from text again."""


def storable_text(text: str) -> str:
    """Return `text` with what can't be stored replaced by a mark."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")


def storable(value: Any) -> Any:
    """Return JSON-like data with every text in it storable, and numbers that are none as text."""
    if isinstance(value, str):
        return storable_text(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        return str(value)
    if isinstance(value, dict):
        entries = cast("dict[Any, Any]", value)
        return {storable(key): storable(item) for key, item in entries.items()}
    if isinstance(value, (list, tuple)):
        return [storable(item) for item in cast("list[Any]", value)]
    return value
