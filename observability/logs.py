"""Lines of the log: without private data and secrets, and as JSON with the run that they belong to."""

import logging
from collections.abc import MutableMapping
from datetime import UTC, datetime
from textwrap import indent
from typing import Any, Final

import orjson

from core.text import in_one_line, json_without_steering, storable, visible
from observability import names
from observability.invocations import current_invocation, current_place
from observability.redactor import redacted, redacted_value

_PLAIN: Final = logging.Formatter()
_OWN: Final = frozenset({"run_id", "thread_id", "trace_id", "span_id", "timestamp", "level"})
"""Fields of a line that stay as they are."""
_TRACEBACKS: Final = frozenset({"exception", "stack"})
"""Fields of structlog that hold several lines."""
_AGAIN_IN_COLOURS: Final = "color_message"
"""What uvicorn adds to its lines: the same with codes for a terminal."""


def line_of(record: logging.LogRecord, *, as_json: bool) -> str:
    """Return what is written of a record: one line, then those of a traceback; none steers a terminal.

    Args:
        record: any.
        as_json: as an object with `timestamp`, `level`, `logger`, `event`, where it belongs to a run its
            `run_id`, `thread_id`, `agent`, `trace_id` and `span_id`, and with an error `exception`.
    """
    message, traceback = redacted(_said(record)), _traceback(record)
    if not as_json:
        return "\n".join(filter(None, (in_one_line(message), _indented(traceback))))
    told = {
        "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(),
        "level": record.levelname.lower(),
        "logger": record.name,
        "event": message,
        **part_of_run(),
    }
    if traceback:
        told["exception"] = traceback
    return json_without_steering(orjson.dumps(storable(told)).decode())


def _said(record: logging.LogRecord) -> str:
    """Return the text of a record, or what can be told of one whose arguments do not fit it."""
    try:
        return record.getMessage()
    except Exception as error:  # noqa: BLE001 - arguments may be of any class, with any code in it
        where = f"{record.pathname}:{record.lineno}"
        return f"A line of the log could not be written ({type(error).__name__}): {where}"


def part_of_run() -> dict[str, str]:
    """Return the names of the run that the running step belongs to; empty outside of one."""
    part_of = current_invocation()
    if part_of is None:
        return {}
    here = {name: held for name, held in current_place().items() if held}
    return {"run_id": part_of.run_id, "thread_id": part_of.whose.get(names.CONVERSATION, ""), **here}


def private_event(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> dict[str, Any]:
    """Return an event of structlog without private data, with the run that it belongs to: a processor."""
    told = {name: held if name in _OWN else redacted_value(held) for name, held in event.items()}
    return {**part_of_run(), **told}


def plain_event(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> dict[str, Any]:
    """Return an event of structlog that is written as plain text as it can be shown: a processor."""
    shown: dict[str, Any] = {}
    for name, held in event.items():
        if name in _TRACEBACKS:
            shown[name] = _indented(str(held))
        elif name != _AGAIN_IN_COLOURS:
            shown[name] = in_one_line(held) if isinstance(held, str) else held
    return shown


def _indented(text: str) -> str:
    """Return lines of which none can be taken for a record of its own."""
    return indent(visible(text), "    ", bool)


def _traceback(record: logging.LogRecord) -> str:
    """Return the lines that tell where a record comes from, redacted; empty if it has none."""
    raised = record.exc_info and record.exc_info[0]
    told = _PLAIN.formatException(record.exc_info) if record.exc_info and raised else record.exc_text
    return redacted("\n".join(filter(None, (told, record.stack_info))))
