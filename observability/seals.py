"""What a row of the audit record is sealed by: its content as text, the same wherever it is written.

A row is sealed in two parts. What may have to be forgotten of it, with a random salt, has a hash of its own,
`content_hash`; the row's hash is of that hash, of what always stays, and of the hash of the row before. So a
row that has lost its content still proves, by its own hash, everything that stands before it.

Rows from before there were two parts have one hash of all. The hash itself tells which kind a row is of, so
none can be passed off as one of the old kind without another hash.
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

KEPT: Final = ("number", "at", "event", "subject", "tool", "role")
"""The columns that a row never loses."""
IN_PARTS: Final = "2."
"""What the hash of a row that is sealed in two parts begins with."""
FORGETTABLE: Final = ("thread_id", "run_id", "who", "arguments_hash", "before", "after")
"""The columns that may hold something of a person, beside the salt."""


def seal(row: Mapping[str, Any], previous: str) -> str:
    """Return the hash of a row that is sealed in two parts and stands after the one with the hash `previous`.

    Args:
        row: what it keeps, and its `content_hash`.
        previous: see above.
    """
    kept = {name: row[name] for name in (*KEPT, "content_hash")}
    return IN_PARTS + _sha256(f"{previous}\n{text_of(plain(kept))}")


def content_hash(row: Mapping[str, Any]) -> str:
    """Return the hash of what a row may have to forget."""
    return _sha256(text_of(plain({name: row[name] for name in (*FORGETTABLE, "salt")})))


def is_in_parts(row: Mapping[str, Any]) -> bool:
    """Tell whether a row is sealed in two parts."""
    return str(row["hash"]).startswith(IN_PARTS)


def fits(row: Mapping[str, Any], previous: str) -> bool:
    """Tell whether a row that has its content is what its hash says."""
    if is_in_parts(row):
        return content_hash(row) == row["content_hash"] and seal(row, previous) == row["hash"]
    content = {name: row[name] for name in (*KEPT, *FORGETTABLE)}
    if row["salt"]:
        content["salt"] = row["salt"]
    return _sha256(f"{previous}\n{text_of(plain(content))}") == row["hash"]


def plain(columns: Mapping[str, Any]) -> dict[str, Any]:
    """Return columns of a request as they are put on record: points in time as text in UTC."""
    return {name: _in_utc(one) if isinstance(one, datetime) else one for name, one in columns.items()}


def text_of(value: Any) -> str:
    """Return JSON data as the text that is hashed."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _in_utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
