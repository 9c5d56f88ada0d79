"""The search in a namespace that was searched before: all of it in one message to the server.

What such a search goes by is known from the one before. It is found out anew all the same, in the same
message, and where it has changed, the answer is thrown away. That spares a search by indexes two of the three
times that it waits for the server.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple
from weakref import WeakKeyDictionary

from psycopg import sql
from psycopg.errors import DuplicatePreparedStatement, InvalidSqlStatementName
from psycopg.rows import DictRow

from core.database import Database
from core.process import Process, current_process
from core.tenants import Connection, Question, transacted
from memory.store_scopes import Scope, scope_of
from memory.store_terms import EVERYTHING, Form
from memory.store_vast import DEEPEST, enough, given_in, vast_statement

_MOST_KNOWN: Final = 1000
_MOST_PREPARED: Final = 20
"""Statements that a connection keeps for this; Postgres holds some 0.2 MB for each."""
_TYPES: Final = {
    "meaning": "halfvec",
    "rows": "float8",
    "length": "float8",
    "limit": "bigint",
    "offset": "bigint",
}
"""What the statement of a search without a filter is given."""
_EXECUTE: Final = sql.SQL("execute {name} (%s, {rows}, {length}, {limit}, {offset})")
_known: WeakKeyDictionary[Process, dict[Place, Scope]] = WeakKeyDictionary()
"""What was searched by indexes, the one noted longest ago first."""
_prepared: WeakKeyDictionary[Connection, dict[str, None]] = WeakKeyDictionary()
"""The statements that a connection has for this, the one prepared longest ago first."""


class Place(NamedTuple):
    """Where something is searched: a tenant's namespace, by the vectors of a model."""

    tenant: str
    prefix: tuple[str, ...]
    model: str
    dimensions: int


async def note(place: Place, scope: Scope) -> None:
    """Remember what a search went by that was answered by indexes."""
    known = _known.setdefault(await current_process(), {})
    known.pop(place, None)
    known[place] = scope
    if len(known) > _MOST_KNOWN:
        del known[next(iter(known))]


async def found_again(
    database: Database, place: Place, finding: Question, form: Form, values: Mapping[str, Any]
) -> list[DictRow] | None:
    """Return the best items for a question, or None where that has to be found out step by step.

    Args:
        database: the process's.
        place: where to search.
        finding: what tells `scope_of` about the place.
        form: of the search.
        values: of the search.

    Raises:
        DatabaseError: the user of the database may not become the application role.
        OvertakenError: the memories there go by another model.
    """
    known = _known.setdefault(await current_process(), {})
    scope = known.get(place)
    if scope is None or form.fits != EVERYTHING or form.depth > DEEPEST:
        return None
    name, preparing = _statement(form, scope)
    execution = _execution(name, scope, values["limit"], values["offset"]), (values["meaning"],)
    prepared: dict[str, None] = {}
    try:
        async with database.pool.connection() as connection:  # which ends a transaction that failed
            prepared = _prepared.setdefault(connection, {})
            before = [] if name in prepared else _to_prepare(prepared, preparing)
            asked = [*before, finding, execution]
            *_, found, rows = await transacted(connection, place.tenant, asked, reading=True)
            prepared[name] = None
    except DuplicatePreparedStatement:  # it was prepared in a transaction that failed
        prepared[name] = None
        return None
    except InvalidSqlStatementName:  # the connection was reset
        prepared.clear()
        return None
    best = enough(rows, form) if scope_of(found[0] if found else None, form) == scope else None
    if best is None:
        known.pop(place, None)
    return best


def _to_prepare(prepared: dict[str, None], preparing: bytes) -> list[Question]:
    """Return what makes a connection hold one more statement, without holding too many."""
    if len(prepared) < _MOST_PREPARED:
        return [(preparing, ())]
    oldest = next(iter(prepared))
    del prepared[oldest]
    return [(f"deallocate {oldest}".encode(), ()), (preparing, ())]


@lru_cache(maxsize=1000)
def _execution(name: str, scope: Scope, limit: int, offset: int) -> bytes:
    """Return what executes a statement, with all that it is given but the embedding of the question."""
    given = given_in(scope, {"limit": limit, "offset": offset})
    written = {key: sql.Literal(given[key]) for key in _TYPES if key in given}
    return _EXECUTE.format(name=sql.Identifier(name), **written).as_bytes()


@lru_cache(maxsize=100)
def _statement(form: Form, scope: Scope) -> tuple[str, bytes]:
    """Return the name of the statement that searches a scope, and what prepares it."""
    numbered = {name: f"${number}" for number, name in enumerate(_TYPES, start=1)}
    text = vast_statement(form, scope.tenant, scope.path, scope.id).decode() % numbered
    name = "boring_" + hashlib.blake2b(text.encode(), digest_size=12).hexdigest()
    text = text.replace("%", "%%")  # it travels in a message that has values
    return name, f"prepare {name} ({', '.join(_TYPES.values())}) as {text}".encode()
