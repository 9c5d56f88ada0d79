"""How what was said is kept in rows for tracing: as it is, without private data, or not at all.

The journal of effects is no such row: calls are repeated from it, so it holds arguments as they are.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from core.trace_settings import Content
from observability.redactor import redacted, redacted_value, takes_long

_LONG_CHARS: Final = 4_000
"""From here on a text is looked through beside the event loop."""


async def kept_calls(rows: Sequence[dict[str, Any]], content: Content) -> list[dict[str, Any]]:
    """Return rows of tool calls as they are kept: with `arguments`, `result` and `error` by the setting.

    A model can make up the name of a tool, so that is looked through too.
    """
    if content == "full":
        return list(rows)
    if content == "off":
        return [
            {**row, "tool": redacted(row["tool"]), "arguments": {}, "result": None, "error": None}
            for row in rows
        ]
    chars = sum(len(str(row["arguments"])) + len(row["result"] or "") for row in rows)
    if chars < _LONG_CHARS and not takes_long():
        return _without_private_data(rows)
    return await asyncio.to_thread(_without_private_data, rows)


def kept_decisions(rows: Sequence[dict[str, Any]], content: Content) -> list[dict[str, Any]]:
    """Return rows of decisions as they are kept; with the setting `off` they hold no reason."""
    if content == "full":
        return [{**row, "candidates": list(row["candidates"])} for row in rows]
    return [
        {
            **row,
            "choice": redacted(row["choice"]),
            "candidates": redacted_value(row["candidates"]),
            "reason": redacted(row["reason"]) if content == "redacted" else "",
        }
        for row in rows
    ]


def _without_private_data(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {**row, **{name: redacted_value(row[name]) for name in ("tool", "arguments", "result", "error")}}
        for row in rows
    ]
