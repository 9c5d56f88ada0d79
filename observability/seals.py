"""What a row of the audit record is sealed by: its content as text, the same wherever it is written."""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

CONTENT: Final = (
    *("number", "at", "event", "subject", "thread_id", "run_id", "tool", "who", "role"),
    *("arguments_hash", "before", "after"),
)
"""The columns that the hash of a row is of, beside its salt."""


def seal(row: Mapping[str, Any], previous: str) -> str:
    """Return the hash of a row that stands after the one with the hash `previous`."""
    content = {name: row[name] for name in CONTENT}
    if row["salt"]:
        content["salt"] = row["salt"]
    return hashlib.sha256(f"{previous}\n{text_of(plain(content))}".encode()).hexdigest()


def plain(columns: Mapping[str, Any]) -> dict[str, Any]:
    """Return columns of a request as they are put on record: points in time as text in UTC."""
    return {name: _in_utc(one) if isinstance(one, datetime) else one for name, one in columns.items()}


def text_of(value: Any) -> str:
    """Return JSON data as the text that is hashed."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _in_utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
