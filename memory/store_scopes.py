"""What a search inside a namespace has to know beforehand: how large it is, and which indexes serve it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, LiteralString

from psycopg import sql
from psycopg.rows import DictRow

from core.database import literal
from core.tenants import Question
from memory.store_models import OvertakenError
from memory.store_terms import Form

LARGEST_INDEXED: Final = 4000
"""Numbers that a vector in an index may have. Source: pgvector 0.8, HNSW over `halfvec`."""
LEAST_COMMON: Final = 10
COMMON_SHARE: Final = 2000
"""A word is common if more memories than `LEAST_COMMON` and than one in `COMMON_SHARE` have it."""
_CANDIDATES: Final = 150
SCOPE_OF_USER: Final[LiteralString] = """
tenant = %(tenant)s and (starts_with(path, %(place)s) or not exists (
    select from boring.memory_item as item
    where item.tenant = memory_scope.tenant and starts_with(item.path, memory_scope.path)
        and item.user_id <> %(user)s and not starts_with(item.path, %(place)s)))
"""
"""The condition that a scope holds nothing but a user's memories; see `memory.forgetting`."""
_BEGIN_SEARCH: Final = sql.SQL("""
select * from boring.begin_search({prefix}, %s, {index}, {least}, {share}, {candidates}, {depth})
""")


@dataclass(frozen=True, slots=True)
class Scope:
    """A namespace, with all below it, that has indexes of its own.

    Attributes:
        id: the number in its indexes' names.
        tenant: whose it is.
        path: what the paths of its items begin with.
        word_rows: how many of its items have words, when that was last counted.
        word_length: how many words they have on average.
        is_old: whether it should be counted anew.
    """

    id: int
    tenant: str
    path: str
    word_rows: int
    word_length: float
    is_old: bool


def inside_scope(tenant: str, path: str) -> sql.Composable:
    """Return the condition that an item is current and in a tenant's scope, all in literals."""
    conditions = [sql.SQL("tenant = {}").format(literal(tenant)), sql.SQL("valid_to is null")]
    if path:
        conditions.append(sql.SQL("path >= {} and path < {}").format(literal(path), literal(path[:-1] + "/")))
    return sql.SQL(" and ").join(conditions)


def made_by(model: str, dimensions: int) -> str:
    """Return what stands for a model in the name of an index."""
    return hashlib.blake2b(f"{model}\0{dimensions}".encode(), digest_size=6).hexdigest()


def to_find(prefix: tuple[str, ...], query: str, form: Form) -> Question:
    """Return what tells `scope_of` about a namespace, and prepares the transaction for a search there."""
    return _begin_search(prefix, form), (query,)


@lru_cache(maxsize=1000)
def _begin_search(prefix: tuple[str, ...], form: Form) -> bytes:
    return _BEGIN_SEARCH.format(
        prefix=literal(list(prefix)),
        index=sql.Literal(made_by(form.model, form.dimensions)),
        least=sql.Literal(LEAST_COMMON),
        share=sql.Literal(COMMON_SHARE),
        candidates=sql.Literal(_CANDIDATES),
        depth=sql.Literal(form.depth),
    ).as_bytes()


def scope_of(row: DictRow | None, form: Form) -> Scope | None:
    """Return the scope of a namespace if its indexes for a model can be searched.

    Raises:
        OvertakenError: the memories of the connection's tenant go by another model.
    """
    model, dimensions = form.model, form.dimensions
    if row is not None and (row["model"], row["dimensions"]) != (model, dimensions):
        raise OvertakenError(f"memories embedded by {row['model']!r} were asked by {model!r}")
    if row is None or not row["by_meaning"] or not row["by_words"]:
        return None
    return Scope(row["id"], row["tenant"], row["path"], row["word_rows"], row["word_length"], row["old"])
