"""What long-term memory on a vector store promises besides the contract of stores."""

from typing import cast

import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.vectorstores import InMemoryVectorStore, VectorStore

from core.errors import ConfigurationError, DatabaseError, InputError
from memory.items import Origin
from memory.vector_backends import Backend
from memory.vector_store import VectorMemoryStore, store_on

ADA = ("users", "ada")


@pytest.fixture
def vectors() -> InMemoryVectorStore:
    return InMemoryVectorStore(DeterministicFakeEmbedding(size=16))


def of(vectors: VectorStore, tenant: str, backend: Backend | None = None) -> VectorMemoryStore:
    return store_on(vectors, origin=Origin(tenant, "ada"), backend=backend)


async def test_a_tenant_neither_reads_nor_overwrites_what_is_anothers(vectors: InMemoryVectorStore) -> None:
    await of(vectors, "acme").aput(ADA, "k", {"text": "of acme"})
    other = of(vectors, "other")
    assert await other.aget(ADA, "k") is None
    assert await other.asearch((), query="of acme") == []
    assert await other.alist_namespaces() == []
    await other.aput(ADA, "k", {"text": "of other"})
    await other.adelete(ADA, "k")
    item = await of(vectors, "acme").aget(ADA, "k")
    assert item is not None
    assert item.value == {"text": "of acme"}


async def test_a_filter_that_does_not_hold_is_an_error_and_shows_nothing(
    vectors: InMemoryVectorStore,
) -> None:
    broken = Backend("broken", lambda _equal: {})
    await of(vectors, "acme").aput(ADA, "k", {"text": "secret"})
    with pytest.raises(DatabaseError, match="another tenant") as told:
        await of(vectors, "other", broken).asearch((), query="secret")
    assert "secret" not in str(told.value)


async def test_what_lies_out_of_reach_is_an_error_and_never_a_part(vectors: InMemoryVectorStore) -> None:
    small = Backend("small", of(vectors, "acme").backend.conditions, most=3)
    store = of(vectors, "acme", small)
    for number in range(3):
        await store.aput(ADA, str(number), {"text": "x", "n": number})
    with pytest.raises(InputError, match="at most 3"):
        await store.alist_namespaces()
    with pytest.raises(InputError, match="at most 3"):
        await store.asearch(ADA, query="x", filter={"n": 7})
    assert len(await store.asearch(ADA, query="x", limit=2)) == 2


async def test_what_has_expired_is_gone(vectors: InMemoryVectorStore) -> None:
    store = of(vectors, "acme")
    await store.aput(ADA, "k", {"text": "x"}, ttl=0)
    assert await store.asearch(ADA, query="x") == []
    assert await store.aget(ADA, "k") is None
    assert vectors.store == {}


def test_a_kind_that_is_not_known_has_to_say_how_it_filters() -> None:
    class Odd:
        """No vector store that is known."""

    with pytest.raises(ConfigurationError, match="Say how it filters"):
        store_on(cast("VectorStore", Odd()))
