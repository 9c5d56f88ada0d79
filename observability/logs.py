"""Lines of the log: without private data and secrets, and as JSON with the run that they belong to."""

import logging
from collections.abc import MutableMapping
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from observability import names
from observability.invocations import current_invocation, current_place
from observability.redactor import redacted, redacted_value

_PLAIN: Final = logging.Formatter()
_OWN: Final = frozenset({"run_id", "thread_id", "trace_id", "span_id", "timestamp", "level"})
"""Fields of a line that stay as they are."""


def line_of(record: logging.LogRecord, *, as_json: bool) -> str:
    """Return what is written of a record.

    Args:
        record: any.
        as_json: as an object with `timestamp`, `level`, `logger`, `event`, where it belongs to a run its
            `run_id`, `thread_id`, `agent`, `trace_id` and `span_id`, and with an error `exception`.
    """
    if not as_json:
        return redacted(_PLAIN.format(record))
    told = {
        "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(),
        "level": record.levelname.lower(),
        "logger": record.name,
        "event": redacted(record.getMessage()),
        **part_of_run(),
    }
    if record.exc_info and record.exc_info[0]:
        told["exception"] = redacted(_PLAIN.formatException(record.exc_info))
    return orjson.dumps(told).decode()


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
