"""What a state holds, as JSON that a page can show: cut to a size, and without private data if so set."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from langchain_core.messages import BaseMessage
from pydantic import BaseModel

from observability.redactor import redacted_value

if TYPE_CHECKING:
    from core.trace_settings import Content

MOST_CHARS: Final = 20_000
"""Of one value that is shown."""
_TEXT_CHARS: Final = 4_000
"""Of one text inside of it."""
_BORDER_CHARS: Final = 500
"""How far beyond it a text is looked at, so that what is cut off in its middle is known for what it is."""
_MOST_ITEMS: Final = 100
_MOST_DEPTH: Final = 12
_MOST_VALUES: Final = 5_000
"""Of all lists and objects together."""
_MESSAGE_FIELDS: Final = ("type", "name", "id", "content", "tool_calls", "tool_call_id", "usage_metadata")


@dataclass(frozen=True, slots=True)
class Shown:
    """A value as a page shows it.

    Attributes:
        name: of it.
        text: JSON, or the beginning of it.
        is_cut: whether something is left out.
    """

    name: str
    text: str
    is_cut: bool


def shown(name: str, value: Any, content: Content, *, most: int = MOST_CHARS) -> Shown:
    """Return a value as a page shows it.

    Args:
        name: of it.
        value: anything that a checkpoint or a span can hold.
        content: `redacted` takes private data out; with `off` nothing may be shown at all.
        most: characters that are shown.
    """
    cut = _Cut()
    plain = cut.plain(value, 0)
    if content != "full":
        plain = redacted_value(plain)
    plain = cut.shortened(plain)
    text = plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False, indent=2, default=str)
    return Shown(name, text[:most], cut.happened or len(text) > most)


class _Cut:
    """Makes values plain, and remembers whether something was left out."""

    happened = False
    _left = _MOST_VALUES

    def plain(self, value: Any, depth: int) -> Any:
        """Return a value as JSON has it, long texts with what lies a little beyond their cut."""
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, str):
            return self._first(value, _TEXT_CHARS + _BORDER_CHARS)
        if isinstance(value, bytes):
            return f"{len(value):,} bytes"
        self._left -= 1
        if depth == _MOST_DEPTH or self._left < 0:
            self.happened = True
            return "…"
        return self._inside(value, depth + 1)

    def _inside(self, value: Any, depth: int) -> Any:
        if isinstance(value, Mapping):
            held = cast("Mapping[Any, Any]", value)
            pairs = [(str(key)[:_TEXT_CHARS], held[key]) for key in self._few(list(held))]
            return {key: self.plain(one, depth) for key, one in pairs}
        if isinstance(value, Sequence | set | frozenset):
            return [self.plain(one, depth) for one in self._few(list(cast("Sequence[Any]", value)))]
        if isinstance(value, BaseMessage):
            said = {name: getattr(value, name, None) for name in _MESSAGE_FIELDS}
            return {name: self.plain(held, depth) for name, held in said.items() if held not in (None, [])}
        if isinstance(value, BaseModel):
            return self.plain(value.model_dump(), depth)
        if is_dataclass(value) and not isinstance(value, type):
            return self.plain({one.name: getattr(value, one.name) for one in fields(value)}, depth)
        slots = [name for name in getattr(type(value), "__slots__", ()) if not name.startswith("_")]
        told = {name: self.plain(getattr(value, name, None), depth) for name in slots}
        return told or self._first(str(value), _TEXT_CHARS)

    def shortened(self, value: Any) -> Any:
        """Return a plain value with its long texts cut."""
        if isinstance(value, str):
            return self._first(value, _TEXT_CHARS)
        if isinstance(value, dict):
            return {key: self.shortened(one) for key, one in cast("dict[str, Any]", value).items()}
        return [self.shortened(one) for one in cast("list[Any]", value)] if isinstance(value, list) else value

    def _first(self, text: str, most: int) -> str:
        if len(text) <= most:
            return text
        self.happened = True
        return f"{text[:most]}…"

    def _few(self, items: list[Any]) -> list[Any]:
        """Return the last of a list, which are the newest."""
        self.happened |= len(items) > _MOST_ITEMS
        return items[-_MOST_ITEMS:]
