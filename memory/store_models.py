"""Which embedding model a tenant's searches go by, and the embeddings that this takes.

It is the model that embedded the tenant's memories. When the settings name another one, that one's vectors
are kept beside the old ones until all are there (`memory.store_reembedding`), and the old ones are searched.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, LiteralString, TypeVar
from weakref import WeakKeyDictionary

from psycopg import sql

from core.database import literal
from core.embedding import embedding_name
from core.errors import BoringError
from core.process import Process, current_process
from core.tenants import Connection, as_tenant
from memory.other_models import REEMBED, embedded_by, question_embedded_by, tells_again
from memory.store_text import embedded, embedded_question

_MEMORIES: Final = "Memories"
SERVED: Final[LiteralString] = """
select model, dimensions from boring.memory_model union all (
    select embedding_model, embedding_dimensions from boring.memory_item
    where embedding is not null and valid_to is null and not exists (select from boring.memory_model) limit 1)
"""
"""The model that a tenant is searched by: the one on record, else the one of any vector."""
T = TypeVar("T")
_log = logging.getLogger(__name__)
_usual: WeakKeyDictionary[Process, dict[str, Served]] = WeakKeyDictionary()
"""Tenants whose memories were last searched by the settings' model, the one asked longest ago first."""
_MOST_USUAL: Final = 10_000


@dataclass(frozen=True, slots=True)
class Served:
    """The vectors that are searched: their model's name, and how many numbers each has."""

    model: str
    dimensions: int


class OvertakenError(BoringError):
    """A text was embedded by a model that the tenant's memories no longer go by."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as it is searched: its embedding by the model that is named, or None to go by words only."""

    model: str
    vector: list[float] | None


NOTHING: Final = Asked("", None)
"""Where nothing is asked."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """Texts as they are stored: embedded by the settings' model, and by the one that is searched.

    Attributes:
        model: the settings' one.
        vectors: by it, one for each text.
        other_model: the one that is searched, where it is another.
        others: by that one; None where there is none or it can't be asked.
    """

    model: str
    vectors: list[list[float]]
    other_model: str | None = None
    others: list[list[float]] | None = None


async def served_model(connection: Connection) -> Served | None:
    """Return the model that the connection's tenant is searched by; None as long as there are no vectors."""
    row = await (await connection.execute(SERVED)).fetchone()
    return None if row is None else Served(row["model"], row["dimensions"])


async def embedded_for(tenant: str, texts: Sequence[str]) -> Embedded:
    """Embed what a tenant stores.

    Raises:
        ConfigurationError: the settings' model can't be used.
    """
    vectors, model = await embedded(texts)
    served = await _served(tenant) if texts else None
    if served is None or served == Served(model, len(vectors[0])):
        return Embedded(model, vectors)
    others = await embedded_by(served.model, texts, what=_MEMORIES)
    if others is not None and len(others[0]) != served.dimensions:
        others = None
    return Embedded(model, vectors, served.model, others)


async def answered(
    tenant: str, questions: Iterable[str], search: Callable[[Mapping[str, Asked]], Awaitable[T]]
) -> T:
    """Return what a search finds for questions that are embedded by the model of the tenant's memories.

    Args:
        tenant: whose memories.
        questions: their texts.
        search: gets the embeddings by text. Where it raises an `OvertakenError`, it is called once more.

    Raises:
        ConfigurationError: the settings' model can't be used.
    """
    texts = set(questions)
    try:
        return await search({text: await question_for(tenant, text) for text in texts})
    except OvertakenError:
        _usual.setdefault(await current_process(), {}).pop(tenant, None)
        return await search({text: await question_for(tenant, text) for text in texts})


async def unless_overtaken(write: Callable[[], Awaitable[T]]) -> T:
    """Return what a write gives that embeds what it stores, and embeds it again if the model has changed."""
    try:
        return await write()
    except OvertakenError:
        return await write()


async def question_for(tenant: str, question: str) -> Asked:
    """Embed a question by the model that the tenant's memories were embedded by.

    If that was the settings' model last time, it is taken for granted; the search sees whether it still is.

    Raises:
        ConfigurationError: the settings' model can't be used.
    """
    process = await current_process()
    settings, usual = process.settings, _usual.setdefault(process, {})
    served = usual.pop(tenant, None) or await _served(tenant)
    if served is None or served.model == embedding_name(settings):
        vector, model = await embedded_question(question)
        if served is not None and len(vector) != served.dimensions:
            _warn_of_size(process, served, len(vector))
            return Asked(model, None)
        if served is not None:
            usual[tenant] = served
            if len(usual) > _MOST_USUAL:
                del usual[next(iter(usual))]
        return Asked(model, vector)
    vector = await question_embedded_by(served.model, question, what=_MEMORIES)
    return Asked(served.model, vector if vector and len(vector) == served.dimensions else None)


def vector_by(model: str, dimensions: int) -> sql.Composable:
    """Return the expression of a row's vector by a model; null where there is none.

    An index is used where a statement has the very expression that it was made for.
    """
    return sql.SQL(
        "(case when embedding_model = {model} and embedding_dimensions = {dimensions} then embedding"
        " when next_model = {model} and next_dimensions = {dimensions} then next_embedding end)"
    ).format(model=literal(model), dimensions=sql.Literal(dimensions))


async def _served(tenant: str) -> Served | None:
    database = await (await current_process()).database()
    async with as_tenant(database, tenant, reading=True) as connection:
        return await served_model(connection)


def _warn_of_size(process: Process, served: Served, size: int) -> None:
    """Say, once a while, that a model makes other vectors than it did under the same name."""
    if tells_again(process, f"{served.model} {served.dimensions}"):
        _log.warning(
            "Memories were embedded by %r in %d dimensions, and it has %d now; they are searched by words"
            " only until `%s` has embedded them anew.",
            served.model,
            served.dimensions,
            size,
            REEMBED,
        )
