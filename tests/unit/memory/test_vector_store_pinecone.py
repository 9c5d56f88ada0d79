"""What long-term memory sends to Pinecone by its own client, and what it makes of the answers."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from langchain_core.embeddings import Embeddings
from typing_extensions import override

from evals.hashed_embeddings import embed_hashed
from memory.items import Origin
from memory.vector_rows import id_of, owned, within
from memory.vector_store import VectorMemoryStore, store_on
from tests.unit.memory.pinecone_server import PineconeServer

ADA = ("users", "ada")
KEY = "the-key"
SPACE = "memories"
SIZE = 64


@pytest.fixture(scope="module", autouse=True)
def pinecone() -> Any:
    """The client, which is imported where its tests run: that takes long."""
    return pytest.importorskip("pinecone", reason="the extra `pinecone` is not installed")


class Hashed(Embeddings):
    """Embeddings that need no model."""

    @override
    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [embed_hashed(text, SIZE) for text in texts]

    @override
    def embed_query(self, text: str) -> list[float]:
        return embed_hashed(text, SIZE)


@pytest.fixture
async def server() -> AsyncIterator[PineconeServer]:
    async with PineconeServer(KEY) as server:
        yield server


def of(server: PineconeServer, tenant: str = "acme", key: str = KEY) -> VectorMemoryStore:
    return store_on(server.client(Hashed(), key=key, namespace=SPACE), origin=Origin(tenant, "ada"))


def equal(fields: dict[str, str]) -> dict[str, Any]:
    return {"$and": [{key: {"$eq": value}} for key, value in fields.items()]}


async def test_a_put_upserts_one_vector_with_its_fields(server: PineconeServer) -> None:
    await of(server).aput(ADA, "drink", {"text": "prefers tea"})
    (body,) = server.sent("/vectors/upsert")
    assert body["namespace"] == SPACE
    (vector,) = body["vectors"]
    assert vector["id"] == id_of("acme", ADA, "drink")
    assert vector["values"] == pytest.approx(embed_hashed(vector["metadata"]["text"], SIZE))
    assert vector["metadata"]["indexed"] == "yes"
    assert within("acme", ADA).items() <= vector["metadata"].items()


async def test_every_call_shows_the_key_and_the_protocols_version(server: PineconeServer) -> None:
    store = of(server)
    await store.aput(ADA, "k", {"text": "x"})
    await store.asearch(ADA, query="x")
    await store.adelete(ADA, "k")
    assert {request.path for request in server.requests} == {"/vectors/upsert", "/query", "/vectors/delete"}
    for request in server.requests:
        assert request.method == "POST"
        assert request.headers["api-key"] == KEY
        assert request.headers["x-pinecone-api-version"] == "2025-04"
        assert request.headers["content-type"].startswith("application/json")


async def test_a_get_asks_for_the_one_place_and_gives_what_was_put(server: PineconeServer) -> None:
    store = of(server)
    value = {"text": "likes tea", "deep": {"n": [1, 2.5, None, True]}, "ü": "☕"}
    await store.aput(ADA, "drink", value)
    server.requests.clear()
    item = await store.aget(ADA, "drink")
    assert item is not None
    assert (item.namespace, item.key, item.value) == (ADA, "drink", value)
    (body,) = server.sent("/query")
    place = id_of("acme", ADA, "drink").replace("-", "")
    assert body["filter"] == equal(owned("acme") | {"place": place})
    assert (body["topK"], body["namespace"], body["includeMetadata"]) == (1, SPACE, True)
    assert await store.aget(ADA, "food") is None


async def test_a_search_sends_the_questions_vector_and_a_filter_and_gives_the_best_first(
    server: PineconeServer,
) -> None:
    store = of(server)
    await store.aput(ADA, "drink", {"text": "prefers green tea"})
    await store.aput(ADA, "sport", {"text": "plays chess on sundays"})
    await store.aput(("users", "bob"), "drink", {"text": "prefers green tea"})
    server.requests.clear()
    found = await store.asearch(ADA, query="green tea", limit=2)
    assert [item.key for item in found] == ["drink", "sport"]
    assert found[0].score is not None
    assert found[1].score is not None
    assert found[0].score > found[1].score
    body = server.sent("/query")[0]
    assert body["vector"] == pytest.approx(embed_hashed("green tea", SIZE))
    assert body["filter"] == equal(within("acme", ADA) | {"indexed": "yes"})
    assert (body["topK"], body["namespace"]) == (2, SPACE)


async def test_a_delete_names_the_one_vector(server: PineconeServer) -> None:
    store = of(server)
    await store.aput(ADA, "a", {"text": "x"})
    await store.aput(ADA, "b", {"text": "x"})
    await store.adelete(ADA, "a")
    assert server.sent("/vectors/delete") == [{"ids": [id_of("acme", ADA, "a")], "namespace": SPACE}]
    assert await store.aget(ADA, "a") is None
    assert [item.key for item in await store.asearch(ADA)] == ["b"]


async def test_another_tenants_items_are_neither_found_nor_removed(server: PineconeServer) -> None:
    await of(server).aput(ADA, "k", {"text": "of acme"})
    other = of(server, "other")
    assert await other.aget(ADA, "k") is None
    assert await other.asearch((), query="of acme") == []
    assert await other.alist_namespaces() == []
    await other.adelete(ADA, "k")
    assert await of(server).aget(ADA, "k") is not None


async def put_and_get_at_once(store: VectorMemoryStore) -> None:
    values = [{"text": f"fact {number}"} for number in range(8)]
    async with asyncio.TaskGroup() as tasks:
        for number, value in enumerate(values):
            tasks.create_task(store.aput(ADA, str(number), value))
    async with asyncio.TaskGroup() as tasks:
        found = [tasks.create_task(store.aget(ADA, str(number))) for number in range(8)]
    assert [(item := task.result()) and item.value for task in found] == values


async def test_calls_at_the_same_time_do_not_cut_each_other_off(server: PineconeServer) -> None:
    await put_and_get_at_once(of(server))


async def test_a_client_that_was_opened_serves_many_calls_at_once(server: PineconeServer) -> None:
    async with server.client(Hashed(), namespace=SPACE) as vectors:
        await put_and_get_at_once(store_on(vectors, origin=Origin("acme", "ada")))


async def test_what_pinecone_refuses_is_an_error(server: PineconeServer, pinecone: Any) -> None:
    with pytest.raises(pinecone.exceptions.UnauthorizedException):
        await of(server, key="another").aget(ADA, "k")
    with pytest.raises(pinecone.exceptions.PineconeApiException, match="40960 bytes"):
        await of(server).aput(ADA, "k", {"text": "x" * 40_000})
    assert await of(server).aget(ADA, "k") is None
