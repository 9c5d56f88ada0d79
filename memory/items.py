"""The long-term memory's rows, reached as one tenant and never as another."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

from psycopg import sql
from psycopg.rows import DictRow

from core.context import RunContext, field_of
from core.text import storable_text

Kind = Literal["fact", "episode", "summary"]

COLUMNS = sql.SQL("""
    id, tenant, user_id, kind, namespace, key, value, text, created_at, updated_at, valid_from, valid_to,
    superseded_by, thread_id, run_id, message_id, trusted, uses,
    ttl_minutes
""")
"""What a reader gets of a row."""
SHOWN = sql.SQL("id, namespace, key, value, created_at, updated_at, ttl_minutes")
"""What is read of a row that goes to a reader of LangGraph's store: loading all takes a tenth of a search."""
MAX_TTL_MINUTES: Final = 4_000_000_000
"""Some 7,600 years; Python's dates end with the year 9999."""
MAX_NAME_BYTES: Final = 2_600
"""What the names of an item may take together, in UTF-8: a row of an index in Postgres takes 2,704 bytes."""
_RUNTIME = "__pregel_runtime"


@dataclass(frozen=True, slots=True)
class Origin:
    """For whom and where something is remembered.

    Attributes:
        tenant: who alone gets to see it; never empty.
        user: whom it is about, or who had it stored.
        thread_id: None outside of a thread.
        run_id: None outside of a run.
        message_id: the message that it was taken from, where that is known.
        trusted: whether a person or this program said it, and no document, page or tool.
    """

    tenant: str
    user: str
    thread_id: str | None = None
    run_id: str | None = None
    message_id: str | None = None
    trusted: bool = False

    def __post_init__(self) -> None:
        """Refuse what would be nobody's.

        Raises:
            ValueError: the tenant or the user is empty or holds what can't be stored.
        """
        for name in ("tenant", "user"):
            value: object = getattr(self, name)
            if not isinstance(value, str) or not value or storable_text(value) != value:
                raise ValueError(f"{name} is {value!r}; expected a text that is not empty and can be stored")


@dataclass(frozen=True, slots=True)
class NewItem:
    """What is to be remembered under a namespace and a key, in place of what stands there.

    Attributes:
        namespace: labels, the widest first; none holds a period.
        key: its name inside the namespace.
        value: JSON data.
        text: what it is found by; None is found by its namespace, its key and filters only.
        embedding: of `text`; None where there is no text.
        model: which the embedding came from.
        other_embedding: of the text by another model, for as long as one takes the place of the other; None
            where that one can't be asked.
        other_model: which that comes from.
        kind: a fact, an episode (something that happened) or a summary.
        ttl_minutes: how long it is kept after it was last read or written; None keeps it.
        origin: where it came from.
    """

    namespace: tuple[str, ...]
    key: str
    value: dict[str, Any]
    text: str | None
    embedding: list[float] | None
    model: str | None
    kind: Kind
    ttl_minutes: float | None
    origin: Origin
    other_embedding: list[float] | None = None
    other_model: str | None = None


@dataclass(frozen=True, slots=True)
class Memory:
    """One version of something remembered.

    Attributes:
        id: of this version.
        value: JSON data.
        text: what it is found by.
        valid_from: since when it has held.
        valid_to: until when; None still holds.
        superseded_by: the version that took its place.
        origin: where it came from.
        uses: how often it was read or found.
        score: how well it fits the question, 1 at best; None where none was asked.
    """

    id: UUID
    namespace: tuple[str, ...]
    key: str
    kind: Kind
    value: dict[str, Any]
    text: str | None
    valid_from: datetime
    valid_to: datetime | None
    superseded_by: UUID | None
    origin: Origin
    uses: int
    score: float | None = None


def check_names(origin: Origin, namespace: Sequence[str], key: str) -> None:
    """Refuse names that are too long for the indexes that items are found by.

    Raises:
        ValueError: the tenant with the namespace and the key, or with the user, takes more than
            `MAX_NAME_BYTES`.
    """
    for what, names in (
        ("the tenant, the namespace and the key", (*namespace, key)),
        ("the tenant and the user", (origin.user,)),
    ):
        size = sum(len(name.encode()) + 1 for name in (origin.tenant, *names))
        if size > MAX_NAME_BYTES:
            raise ValueError(
                f"{what} take {size:,} bytes together; expected at most {MAX_NAME_BYTES:,}. The longest"
                f" begins with {max((origin.tenant, *names), key=len)[:40]!r}"
            )


def memory_of(row: DictRow) -> Memory:
    """Return the memory that a row holds."""
    origin = Origin(
        row["tenant"], row["user_id"], row["thread_id"], row["run_id"], row["message_id"], row["trusted"]
    )
    same = ("id", "key", "kind", "value", "text", "valid_from", "valid_to", "superseded_by", "uses")
    fields = {name: row[name] for name in same}
    return Memory(namespace=tuple(row["namespace"]), origin=origin, score=row.get("score"), **fields)


def lock_number(*names: str) -> int:
    """Return the number of the advisory lock of a thing that has these names; things may share one."""
    joined = "\0".join(names).encode()
    return int.from_bytes(hashlib.blake2b(joined, digest_size=8).digest(), signed=True)


def current_origin(*, message_id: str | None = None, trusted: bool = False) -> Origin:
    """Return the origin of the run that the caller is part of; outside of a run, the default one.

    Raises:
        ValueError: the run's tenant or user is none.
    """
    from langgraph.config import get_config  # noqa: PLC0415 - `boring rules` and others do without, in half the time

    default = RunContext()
    origin = Origin(default.tenant, default.user, message_id=message_id, trusted=trusted)
    try:
        places = get_config().get("configurable", {})
    except RuntimeError:
        return origin
    context = getattr(places.get(_RUNTIME), "context", None)
    return replace(
        origin,
        tenant=field_of(context, "tenant", default.tenant),
        user=field_of(context, "user", default.user),
        thread_id=_text(places.get("thread_id")),
        run_id=_text(places.get("run_id")),
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value)
