"""How well and how fast one tenant among many is searched: our store, exact search, the stock store."""

import random
import statistics
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from langchain_core.embeddings import Embeddings
from langgraph.store.postgres.aio import AsyncPostgresStore
from numpy.typing import NDArray
from psycopg import AsyncConnection
from typing_extensions import override

from benchmarks.memory_rows import DIMENSIONS, Made, Maker, fill
from core.process import current_process, opened_process
from memory.items import Origin
from memory.store import MemoryStore
from memory.store_building import index_namespace

USER: Final = "ada"
WATCHED: Final = "tenant-0"
UNINDEXED: Final = "tenant-1"
"""Another with as many memories, whose searches look at all of them."""
BEST: Final = 10
QUESTIONS: Final = 100
_AS_STOCK: Final = """
insert into store (prefix, key, value) select tenant || '.' || array_to_string(namespace, '.'), key, value
from boring.memory_item;
insert into store_vectors (prefix, key, field_name, embedding)
select tenant || '.' || array_to_string(namespace, '.'), key, 'text', embedding::vector
from boring.memory_item;
"""

Search = Callable[[str], Awaitable[Sequence[Any]]]
"""Finds the best items for a question."""


@dataclass(frozen=True, slots=True)
class Questions:
    """What is asked.

    Attributes:
        meanings: questions without a word that is in any memory: their answers are ranked by meaning only.
        texts: others, with words as those of memories have them.
        nearest: the keys of the best by meaning, `(questions, BEST)`.
    """

    meanings: list[str]
    texts: list[str]
    nearest: list[set[str]]


@dataclass(frozen=True, slots=True)
class Found:
    """What a store found: the share of the nearest, and the median milliseconds of a search."""

    recall: float
    meaning_ms: float
    ms: float


class Known(Embeddings):
    """Vectors that are known beforehand, so that no time goes into a model."""

    def __init__(self) -> None:
        self._vectors: dict[str, list[float]] = {}

    def know(self, texts: Sequence[str], vectors: NDArray[np.float32]) -> None:
        """Take the vectors of texts."""
        self._vectors |= {text: vector.tolist() for text, vector in zip(texts, vectors, strict=True)}

    @override
    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return the vectors of texts."""
        return [self._vectors[text] for text in texts]

    @override
    def embed_query(self, text: str) -> list[float]:
        """Return the vector of a question."""
        return self._vectors[text]

    @override
    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return the vectors of texts."""
        return self.embed_documents(texts)

    @override
    async def aembed_query(self, text: str) -> list[float]:
        """Return the vector of a question."""
        return self.embed_query(text)


@asynccontextmanager
async def knowing(known: Known, **settings: object) -> AsyncGenerator[None]:
    """Own a process on the same database, with settings of its own, that asks for no other vectors."""
    outer = await current_process()
    async with opened_process(outer.settings.model_copy(update=settings)) as process:

        @asynccontextmanager
        async def opened() -> AsyncGenerator[Embeddings]:
            yield known

        process.begin("embeddings", opened)
        yield


async def filled(*, tenants: int, rows_each: int) -> tuple[Known, Questions]:
    """Put new memories of many tenants in the place of all there are; return questions to the watched one."""
    maker = Maker(7, rows=rows_each)
    async with connected() as connection:
        await connection.execute("truncate boring.memory_item cascade")
        watched = await fill(connection, WATCHED, USER, maker, rows=rows_each)
        for number in range(1, tenants):
            await fill(connection, f"tenant-{number}", USER, maker, rows=rows_each)
        await connection.execute("vacuum analyze boring.memory_item")
    return questions_about(watched, maker)


def questions_about(watched: Made, maker: Maker) -> tuple[Known, Questions]:
    """Return questions that lie among memories, and what is nearest to them as memories are stored."""
    asked, worded = maker.make(QUESTIONS), maker.make(QUESTIONS)
    stored = watched.vectors.astype(np.float16).astype(np.float32)
    lengths = np.linalg.norm(stored, axis=1)
    exact = asked.vectors.astype(np.float16).astype(np.float32) @ stored.T / lengths
    nearest = [{str(key) for key in row} for row in np.argsort(-exact, axis=1)[:, :BEST].tolist()]
    chosen = random.Random(7)  # noqa: S311 - the same questions each time
    texts = [
        " ".join(["which", *chosen.sample(text.split(), 6), str(n)]) for n, text in enumerate(worded.texts)
    ]
    meanings = [f"unheardof{number}" for number in range(QUESTIONS)]
    known = Known()
    known.know(meanings, asked.vectors)
    known.know(texts, worded.vectors)
    return known, Questions(meanings, texts, nearest)


@asynccontextmanager
async def stock_store(known: Known) -> AsyncGenerator[AsyncPostgresStore]:
    """Yield LangGraph's store with the same memories, with the HNSW index that it makes by itself.

    The index is made anew after the rows are there, which takes less time and leaves the better index.
    """
    url = (await (await current_process()).database()).url
    index: Any = {"dims": DIMENSIONS, "embed": known, "fields": ["text"]}
    async with AsyncPostgresStore.from_conn_string(url, index=index) as store:
        await store.setup()
        async with connected() as connection:
            cursor = await connection.execute(
                "select pg_get_indexdef('store_vectors_embedding_idx'::regclass)"
            )
            ((definition,),) = await cursor.fetchall()
            await connection.execute("drop index store_vectors_embedding_idx")
            await connection.execute("truncate store cascade")
            await connection.execute(_AS_STOCK)
            await connection.execute("set maintenance_work_mem = '1GB'")
            await connection.execute(definition)
            await connection.execute("vacuum analyze store")
            await connection.execute("vacuum analyze store_vectors")
        yield store


def our_search(tenant: str = WATCHED) -> Search:
    """Return the search of our store for a tenant."""
    store = MemoryStore(origin=Origin(tenant, USER))
    return lambda question: store.asearch(("users",), query=question, limit=BEST)


def search_of_stock(store: AsyncPostgresStore) -> Search:
    """Return the search of LangGraph's store for the watched tenant."""
    return lambda question: store.asearch((WATCHED,), query=question, limit=BEST)


async def measured(searches: dict[str, Search], questions: Questions) -> dict[str, Found]:
    """Ask every question of every store, in turns, so that all meet the same machine, and each begins."""
    for search in searches.values():
        for text in (*questions.texts, *questions.meanings)[::10]:
            await search(text)
    hits = dict.fromkeys(searches, 0)
    meaning_ms: dict[str, list[float]] = {name: [] for name in searches}
    text_ms: dict[str, list[float]] = {name: [] for name in searches}
    asked = zip(questions.meanings, questions.texts, questions.nearest, strict=True)
    for number, (meaning, text, nearest) in enumerate(asked):
        for name, search in list(searches.items())[:: -1 if number % 2 else 1]:
            found, ms = await _timed(search, meaning)
            meaning_ms[name].append(ms)
            hits[name] += len(nearest & {item.key for item in found})
            text_ms[name].append((await _timed(search, text))[1])
    return {
        name: Found(
            hits[name] / (BEST * QUESTIONS),
            statistics.median(meaning_ms[name]),
            statistics.median(text_ms[name]),
        )
        for name in searches
    }


async def index_watched() -> float:
    """Build the indexes of the watched tenant's memories; return the seconds that took."""
    started = time.perf_counter()
    if not await index_namespace(WATCHED, ("users",)):
        raise ValueError(f"{WATCHED} has too few memories for an index")
    return time.perf_counter() - started


@asynccontextmanager
async def connected() -> AsyncGenerator[AsyncConnection[Any]]:
    """Yield a connection of the user who owns the tables, each statement a transaction of its own."""
    url = (await (await current_process()).database()).url
    async with await AsyncConnection.connect(url, autocommit=True) as connection:
        yield connection


async def _timed(search: Search, question: str) -> tuple[Sequence[Any], float]:
    started = time.perf_counter()
    found = await search(question)
    return found, 1000 * (time.perf_counter() - started)
