"""What a LangChain vector store can do as long-term memory, and how it is asked for it.

A `VectorStore` has no common way to filter: each takes filters in a language of its own. A backend says how.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.errors import ConfigurationError
from memory.vector_weaviate import by_weaviate, check_weaviate

if TYPE_CHECKING:
    from langchain_core.documents import Document
    from langchain_core.vectorstores import VectorStore

Conditions = Callable[[Mapping[str, str]], dict[str, Any]]
LACKS = (
    "no transactions: a batch that fails in the middle has done a part of its writes",
    "no row-level security: tenants are kept apart by a filter on every call, not by the database",
    "no history: a write replaces what was there, and what it superseded is gone",
    "no search by words: meaning alone decides",
)
"""What every vector store lacks beside the store in Postgres."""
_EVENTUAL = "reads that come soon after a write may not see it"


def _any(_vectors: VectorStore) -> None:
    """Take every vector store."""


@dataclass(frozen=True, slots=True)
class Backend:
    """How one kind of vector store is used.

    Attributes:
        name: as `boring doctor` shows it.
        conditions: makes the search's arguments from metadata fields and the texts they have to equal.
        score: makes of the store's score one that grows with the fit.
        most: most rows that one search gives; what is listed lies within them.
        confirms: whether a write is read back, because the client hides failed ones.
        check: raises ConfigurationError for a vector store that can't keep items as it is made.
        copied: whether each call takes a copy of the client, because one call's end closes the connection of
            others at the same time. A connection that its owner has opened is shared by the copies.
        lacks: what this one lacks besides `LACKS`.
    """

    name: str
    conditions: Conditions
    score: Callable[[float], float] = float
    most: int = 10_000
    confirms: bool = False
    check: Callable[[VectorStore], None] = _any
    copied: bool = False
    lacks: tuple[str, ...] = ()


def _by_function(equal: Mapping[str, str]) -> dict[str, Any]:
    wanted = dict(equal)

    def fits(document: Document) -> bool:
        return all(document.metadata.get(key) == value for key, value in wanted.items())

    return {"filter": fits}


def _by_operators(equal: Mapping[str, str]) -> dict[str, Any]:
    return {"filter": {"$and": [{key: {"$eq": value}} for key, value in equal.items()]}}


def _of_distance(distance: float) -> float:
    return 1.0 - distance


_KNOWN = {
    "InMemoryVectorStore": Backend(
        "langchain-core in memory", _by_function, lacks=("gone with the process",)
    ),
    "PGVectorStore": Backend("langchain-postgres", _by_operators, _of_distance),
    "PineconeVectorStore": Backend(
        "Pinecone",
        _by_operators,
        copied=True,
        lacks=(_EVENTUAL, "at most 40 KB an item, its texts twice", "at most 4 MB to one list"),
    ),
    "WeaviateVectorStore": Backend(
        "Weaviate",
        by_weaviate,
        confirms=True,
        check=check_weaviate,
        lacks=(
            "a score tells the order within one search only: the best has 1, whatever it is",
            "at most 104 MB to one list",
            "with its asynchronous indexing, a write that was kept may be told as lost",
        ),
    ),
}


def backend_of(vectors: VectorStore) -> Backend:
    """Return how a vector store is used, by the name of its class or of one above it.

    Raises:
        ConfigurationError: it is of no kind that is known.
    """
    for kind in type(vectors).__mro__:
        if kind.__name__ in _KNOWN:
            return _KNOWN[kind.__name__]
    raise ConfigurationError(
        f"{type(vectors).__name__} is a vector store whose filters are not known; known are "
        f"{', '.join(_KNOWN)}. Say how it filters: store_on(vectors, backend=Backend(name, conditions))."
    )
