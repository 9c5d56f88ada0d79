"""How the audit record forgets a person and still only grows.

A row that is redacted keeps its number, time, event, request, tool, role and hashes, and loses the rest, its
salt too: nobody can find the lost content by trying. A row is added that lists each redacted row with a
digest of what is left of it. The chain of hashes is untouched, and a redacted row still fits its own hash,
see `observability.seals`: a hash that somebody noted before proves after it what it proved then. A row that
did not fit its hash before is listed as such, so that redacting hides no tampering.

Rows from before their content had a hash of its own can't be checked by their hash once they are redacted.
What is left of those is bound by the row that lists them, and by nothing before it.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, LiteralString

from psycopg import AsyncConnection
from psycopg.rows import DictRow

from observability.seals import FORGETTABLE, KEPT, fits, is_in_parts, plain, seal, text_of

BLANK: Final[Mapping[str, Any]] = {
    **dict.fromkeys(("thread_id", "run_id", "who", "arguments_hash", "salt"), ""),
    "before": {},
    "after": {},
}
"""What a redacted row holds where it held something of a person."""
BROKEN: Final = "broken"
"""Listed in place of a digest: the row did not fit its hash before it was redacted."""
_OF: Final[LiteralString] = """
redacted_by is null and event <> 'redact' and subject in (
    select subject from boring.audit where thread_id = any(%(threads)s) or run_id = any(%(runs)s))
"""
_ROWS: LiteralString = "select * from boring.audit where " + _OF + " order by number for update"  # noqa: S608 - constant
COUNT: LiteralString = "select count(*) as n from boring.audit where " + _OF  # noqa: S608 - constant
"""How many rows hold something of these threads and runs."""
DECIDED: LiteralString = """
select count(*) as n from boring.audit join boring.approval on approval.id::text = audit.subject
where redacted_by is null and who = %(user)s and approval.tenant = %(tenant)s
    and not (approval.thread_id = any(%(threads)s) or approval.run_id = any(%(runs)s))
"""
"""How many rows tell what a user decided on requests of others."""
_REDACT = """
update boring.audit set redacted_by = %(by)s, thread_id = '', run_id = '', who = '', arguments_hash = '',
    salt = '', before = '{}', after = '{}'
where number = any(%(numbers)s)
"""


@dataclass(slots=True)
class Redactions:
    """What is known of redacted rows while the record is read from its beginning.

    Attributes:
        rows: how many were redacted.
        untold: those that no later row has listed yet, by their numbers.
    """

    rows: int = 0
    untold: dict[int, DictRow] = field(default_factory=dict[int, DictRow])

    def note(self, row: DictRow, previous: str) -> str | None:
        """Take note of a redacted row after the hash `previous`; return what is wrong with it."""
        self.rows += 1
        if any(row[name] != blank for name, blank in BLANK.items()):
            return f"row {row['number']} is redacted, and holds more than it may"
        if is_in_parts(row) and seal(row, previous) != row["hash"]:
            return f"what is left of the redacted row {row['number']} was changed"
        self.untold[row["number"]] = row
        return None

    def told(self, row: DictRow) -> str | None:
        """Compare the rows that a row lists with what is left of them; return what is wrong."""
        listed: dict[str, str] = row["after"].get("rows", {}) if row["event"] == "redact" else {}
        for number, digest in listed.items():
            left = self.untold.pop(int(number), None)
            if digest == BROKEN:
                return f"row {number} was changed before it was redacted"
            if left is None or left["redacted_by"] != row["number"] or _digest(left, of=row) != digest:
                return f"row {number} was changed after it was redacted"
        return None


async def rows_to_redact(
    connection: AsyncConnection[DictRow], threads: list[str], runs: list[str]
) -> dict[str, str]:
    """Return what a row of the record has to list before it forgets these threads and runs.

    Args:
        connection: in an open transaction.
        threads: every row about a request of one of them is redacted.
        runs: the same for runs.

    Returns:
        Digests of what will be left of each row, by its number.
    """
    found = await connection.execute(_ROWS, {"threads": threads, "runs": runs})
    listed: dict[str, str] = {}
    for row in await found.fetchall():
        whole = fits(row, row["previous_hash"])
        listed[str(row["number"])] = digest_of({**row, **BLANK}) if whole else BROKEN
    return listed


async def redact_rows(connection: AsyncConnection[DictRow], listed: Mapping[str, str], *, by: int) -> None:
    """Take the content from rows in an open transaction.

    Args:
        connection: in the transaction that has added the row that lists them.
        listed: see `rows_to_redact`.
        by: the number of that row.
    """
    await connection.execute(_REDACT, {"by": by, "numbers": [int(number) for number in listed]})


def digest_of(row: Mapping[str, Any]) -> str:
    """Return the SHA-256 of what is left of a redacted row, its hash and the one before included."""
    return _sha256_of(row, (*KEPT, *FORGETTABLE, "hash", "previous_hash"))


def _digest(row: Mapping[str, Any], *, of: Mapping[str, Any]) -> str:
    """Return the digest of a redacted row as the row `of` lists it; those of before left one column out."""
    return digest_of(row) if is_in_parts(of) else _sha256_of(row, (*KEPT, *FORGETTABLE, "hash"))


def _sha256_of(row: Mapping[str, Any], names: Sequence[str]) -> str:
    return hashlib.sha256(text_of(plain({name: row[name] for name in names})).encode()).hexdigest()
