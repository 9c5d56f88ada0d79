"""Text that can be stored, and text that can be shown.

Postgres takes no NUL, UTF-8 no lone surrogate, JSON no infinite number. A terminal takes some characters for
commands, and some turn the order of those around them.
"""

import json
import math
import re
from typing import Any, Final, cast

import orjson

_BEYOND_ASCII: Final = re.compile(r"[^\n -~]")
_NUL: Final = "\\u0000"
MAX_BITS = 63
"""Checkpoints hold no longer integers; arguments of a tool read them from text again."""
DEEPEST: Final = 100
"""Levels that data may be nested. Checkpoints take some 250, with those of the state around."""
_TOO_DEEP: Final = "[nested too deep]"


def storable_text(text: str) -> str:
    """Return `text` with what can't be stored replaced by a mark."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")


def storable(value: Any, *, room: int = DEEPEST) -> Any:
    """Return JSON-like data with texts that are storable, numbers that are none as text, and not too deep."""
    if isinstance(value, str):
        return storable_text(value)
    is_none = isinstance(value, float) and not math.isfinite(value)
    if is_none or (isinstance(value, int) and value.bit_length() > MAX_BITS):
        return str(value)
    if room == 0 and isinstance(value, (dict, list, tuple)):
        return _TOO_DEEP
    if isinstance(value, dict):
        entries = cast("dict[Any, Any]", value)
        return {storable(key): storable(item, room=room - 1) for key, item in entries.items()}
    if isinstance(value, (list, tuple)):
        return [storable(item, room=room - 1) for item in cast("list[Any]", value)]
    return value


def stored_json(value: Any) -> str:
    """Return data as JSON that can be stored, with a mark for what can't be; objects are told by their text.

    Raises:
        TypeError: it holds something whose text can't be told.
    """
    try:
        text = orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:
        pass  # such as of a lone surrogate
    else:
        if _NUL not in text:
            return text
    return orjson.dumps(storable(value), default=_storable_str, option=orjson.OPT_NON_STR_KEYS).decode()


def _storable_str(value: object) -> str:
    return storable_text(str(value))


def visible(text: str) -> str:
    """Return `text` with characters that are invisible, or steer a terminal, as their codes."""
    return "".join(c if c.isprintable() or c in "\n\t" else f"\\u{ord(c):04x}" for c in text)


def in_one_line(text: str) -> str:
    """Return `text` as it can stand in a line among others, which it can't forge."""
    return visible(text).replace("\n", "\\n")


def in_hanging_lines(text: str, *, by: int = 4) -> str:
    """Return `text` with its lines after the first indented: none passes for one around it."""
    return visible(text).replace("\n", "\n" + " " * by)


def json_without_steering(text: str) -> str:
    """Return JSON that holds the same, with such characters as the codes that JSON has for them."""
    return _BEYOND_ASCII.sub(_json_code, text)


def _json_code(found: re.Match[str]) -> str:
    return found[0] if found[0].isprintable() else json.dumps(found[0])[1:-1]
