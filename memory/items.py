"""The long-term memory's rows, reached as one tenant and never as another."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from langgraph.config import get_config
from psycopg import AsyncConnection
from psycopg.errors import InsufficientPrivilege
from psycopg.rows import DictRow

from core.context import RunContext
from core.database import Database
from core.errors import DatabaseError
from core.migrations.names import APPLICATION_ROLE
from core.text import storable_text

Kind = Literal["fact", "episode", "summary"]
Connection = AsyncConnection[DictRow]

_RUNTIME = "__pregel_runtime"
_BECOME = """
select set_config('boring.tenant', %s, true), set_config('role', case
    when (select rolsuper or rolbypassrls from pg_roles where rolname = current_user) then %s
    else current_setting('role') end, true)
"""


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


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a remembered item.

    Attributes:
        value: what it said.
        text: what it is found by.
        valid_from: since when.
        valid_to: until when; None still holds.
        origin: where it came from.
        uses: how often a search or a read has returned it.
    """

    namespace: tuple[str, ...]
    key: str
    kind: Kind
    value: dict[str, Any]
    text: str | None
    valid_from: datetime
    valid_to: datetime | None
    origin: Origin
    uses: int


def current_origin(*, trusted: bool = False) -> Origin:
    """Return the origin of the run that the caller is part of; outside of a run, the default one.

    Raises:
        ValueError: the run's tenant or user is none.
    """
    default = RunContext()
    origin = Origin(default.tenant, default.user, trusted=trusted)
    try:
        places = get_config().get("configurable", {})
    except RuntimeError:
        return origin
    context = getattr(places.get(_RUNTIME), "context", None)
    return replace(
        origin,
        tenant=_of(context, "tenant", default.tenant),
        user=_of(context, "user", default.user),
        thread_id=_text(places.get("thread_id")),
        run_id=_text(places.get("run_id")),
    )


@asynccontextmanager
async def as_tenant(database: Database, tenant: str) -> AsyncGenerator[Connection]:
    """Yield a connection in a transaction that sees and writes the rows of `tenant` only.

    A user that row-level security would not bind becomes the application role until the transaction ends.

    Raises:
        DatabaseError: the user of the database may not become that role.
    """
    async with database.pool.connection() as connection, connection.transaction():
        try:
            await connection.execute(_BECOME, (tenant, APPLICATION_ROLE))
        except InsufficientPrivilege as error:
            raise DatabaseError(
                "The user in DATABASE_URL passes over row-level security and may not become the role"
                f" {APPLICATION_ROLE}: {error}. Let an administrator run"
                f" `grant {APPLICATION_ROLE} to <user>`."
            ) from error
        yield connection


def _of(context: Any, name: str, default: str) -> str:
    """Return a field of a run's context; graphs of others may have one that is a dict, or none."""
    if isinstance(context, dict):
        return context.get(name, default)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return getattr(context, name, default)


def _text(value: object) -> str | None:
    return None if value is None else str(value)
