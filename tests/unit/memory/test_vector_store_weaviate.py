"""What long-term memory sends to Weaviate by its own clients, and what it makes of the answers."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from langchain_core.embeddings import Embeddings
from langgraph.store.base import PutOp
from typing_extensions import override

from core.errors import ConfigurationError, DatabaseError
from evals.hashed_embeddings import embed_hashed
from memory.items import Origin
from memory.vector_rows import FILTERED, id_of, owned, within
from memory.vector_store import VectorMemoryStore, store_on
from memory.vector_weaviate import weaviate_schema
from tests.unit.memory.weaviate_server import (
    KEY,
    WHY,
    WeaviateServer,
    opened_vectors,
    opened_weaviate,
    vector_of,
)

ADA = ("users", "ada")
NAME = "LongTerm"
SIZE = 64


@pytest.fixture(scope="module", autouse=True)
def weaviate() -> Any:
    """The client, which is imported where its tests run: that takes long."""
    pytest.importorskip("langchain_weaviate", reason=WHY)
    return pytest.importorskip("weaviate", reason=WHY)


class Hashed(Embeddings):
    """Embeddings that need no model, and that nobody may ask for in a thread."""

    @override
    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        raise AssertionError("asked for synchronously")

    @override
    def embed_query(self, text: str) -> list[float]:
        raise AssertionError("asked for synchronously")

    @override
    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        return [embed_hashed(text, SIZE) for text in texts]

    @override
    async def aembed_query(self, text: str) -> list[float]:
        return embed_hashed(text, SIZE)


@pytest.fixture
async def server() -> AsyncIterator[WeaviateServer]:
    async with opened_weaviate() as server:
        yield server


@pytest.fixture
async def vectors(server: WeaviateServer) -> AsyncIterator[Any]:
    async with opened_vectors(server, Hashed(), NAME, schema=weaviate_schema(NAME)) as vectors:
        yield vectors


def of(vectors: Any, tenant: str = "acme") -> VectorMemoryStore:
    return store_on(vectors, origin=Origin(tenant, "ada"))


def filtered(message: Any) -> dict[str, str]:
    """Return the fields of a filter that is a conjunction, with the texts they have to equal."""
    return {part.target.property: part.value_text for part in message.filters.filters}


async def test_the_collection_keeps_what_is_filtered_by_whole_and_the_rest_out_of_the_index(
    server: WeaviateServer, vectors: Any
) -> None:
    (request,) = [one for one in server.requests if (one.method, one.path) == ("POST", "/v1/schema")]
    sent = json.loads(request.body)
    assert (sent["class"], sent["vectorizer"]) == (NAME, "none")
    assert sent["vectorIndexConfig"]["distance"] == "cosine"
    fields = {field["name"]: field for field in sent["properties"]}
    whole = {name for name, field in fields.items() if field.get("tokenization") == "field"}
    assert whole == {name for name, field in fields.items() if field["indexFilterable"]} == set(FILTERED)
    await of(vectors).aput(ADA, "drink", {"text": "prefers tea"})
    (stored,) = server.objects[NAME].values()
    assert set(stored.properties.non_ref_properties.keys()) == set(fields)


async def test_a_put_sends_one_object_with_its_vector_and_its_fields(
    server: WeaviateServer, vectors: Any
) -> None:
    await of(vectors).aput(ADA, "drink", {"text": "prefers tea"})
    (message,) = server.sent("BatchObjects")
    (one,) = message.objects
    assert (one.collection, one.uuid) == (NAME, id_of("acme", ADA, "drink"))
    kept = dict(one.properties.non_ref_properties.items())
    assert vector_of(one) == pytest.approx(embed_hashed(kept["text"], SIZE))
    assert within("acme", ADA).items() <= kept.items()


async def test_a_search_sends_the_questions_vector_and_a_filter_and_gives_the_best_first(
    server: WeaviateServer, vectors: Any
) -> None:
    store = of(vectors)
    await store.aput(ADA, "drink", {"text": "prefers green tea"})
    await store.aput(ADA, "sport", {"text": "plays chess on sundays"})
    await store.aput(("users", "bob"), "drink", {"text": "prefers green tea"})
    server.calls.clear()
    found = await store.asearch(ADA, query="green tea", limit=2)
    assert [(item.key, item.score) for item in found] == [("drink", 1.0), ("sport", 0.0)]
    message = server.sent("Search")[0]
    assert vector_of(message.hybrid_search) == pytest.approx(embed_hashed("green tea", SIZE))
    assert (message.hybrid_search.alpha, message.limit, message.collection) == (1.0, 2, NAME)
    assert filtered(message) == within("acme", ADA) | {"indexed": "yes"}


async def test_a_get_asks_for_the_one_place_and_gives_what_was_put(
    server: WeaviateServer, vectors: Any
) -> None:
    store = of(vectors)
    value = {"text": "likes tea", "deep": {"n": [1, 2.5, None, True]}, "ü": "☕"}
    await store.aput(ADA, "drink", value)
    server.calls.clear()
    item = await store.aget(ADA, "drink")
    assert item is not None
    assert (item.namespace, item.key, item.value) == (ADA, "drink", value)
    (message,) = server.sent("Search")
    assert filtered(message) == owned("acme") | {"place": id_of("acme", ADA, "drink").replace("-", "")}
    assert await store.aget(ADA, "food") is None


async def test_a_delete_names_the_one_object(server: WeaviateServer, vectors: Any) -> None:
    store = of(vectors)
    await store.aput(ADA, "a", {"text": "x"})
    await store.aput(ADA, "b", {"text": "x"})
    await store.adelete(ADA, "a")
    (message,) = server.sent("BatchDelete")
    assert list(message.filters.value_text_array.values) == [id_of("acme", ADA, "a")]
    assert await store.aget(ADA, "a") is None
    assert [item.key for item in await store.asearch(ADA)] == ["b"]


async def test_another_tenants_items_are_neither_found_nor_removed(vectors: Any) -> None:
    await of(vectors).aput(ADA, "k", {"text": "of acme"})
    other = of(vectors, "other")
    assert await other.aget(ADA, "k") is None
    assert await other.asearch((), query="of acme") == []
    assert await other.alist_namespaces() == []
    await other.adelete(ADA, "k")
    assert await of(vectors).aget(ADA, "k") is not None


def of_words(preset: str) -> dict[str, Any]:
    schema = weaviate_schema(NAME)
    schema["invertedIndexConfig"] = {"stopwords": {"preset": preset}}
    for field in schema["properties"]:
        field["tokenization"] = "word"
    return schema


async def test_no_filter_consists_of_stopwords_in_a_collection_that_leaves_english_ones_out(
    server: WeaviateServer,
) -> None:
    async with opened_vectors(server, Hashed(), NAME, schema=of_words("en")):
        pass
    async with opened_vectors(server, Hashed(), NAME, schema=weaviate_schema(NAME)) as vectors:
        store = of(vectors)
        await store.aput(ADA, "found", {"text": "prefers tea"})
        await store.aput(ADA, "kept", {"text": "prefers tea"}, index=False)
        assert [item.key for item in await store.asearch(ADA, query="tea")] == ["found", "kept"]


async def test_a_collection_that_lacks_the_fields_is_told_before_anything_is_written(
    server: WeaviateServer,
) -> None:
    async with opened_vectors(server, Hashed(), NAME) as vectors:
        with pytest.raises(ConfigurationError, match=r"lacks fields .*owner.*schema=weaviate_schema"):
            of(vectors)
    async with opened_vectors(server, Hashed(), NAME, schema=weaviate_schema(NAME)) as vectors:
        with pytest.raises(ValueError, match="no such prop with name 'owner'"):
            await of(vectors).aput(ADA, "k", {"text": "x"})
    assert server.sent("BatchObjects") == []


def test_a_vector_store_without_an_asynchronous_client_is_told() -> None:
    class WeaviateVectorStore:
        schema = weaviate_schema(NAME)

    made: Any = WeaviateVectorStore()
    with pytest.raises(ConfigurationError, match="client_async="):
        store_on(made)


async def put_all(store: VectorMemoryStore, keys: Sequence[str]) -> None:
    await store.abatch([PutOp(ADA, key, {"text": key}) for key in keys])


async def test_an_item_that_weaviate_did_not_keep_is_an_error(
    server: WeaviateServer, weaviate: Any, vectors: Any
) -> None:
    store = of(vectors)
    await put_all(store, "ab")
    server.refused[id_of("acme", ADA, "b")] = "no space left on device"
    with pytest.raises(DatabaseError, match="did not keep 1 of 2 items, as 'b'"):
        await put_all(store, "ab")
    server.refused[id_of("acme", ADA, "c")] = "no space left on device"
    with pytest.raises(DatabaseError, match="did not keep 1 of 2 items, as 'c'"):
        await put_all(store, "ac")
    with pytest.raises(weaviate.exceptions.WeaviateInsertManyAllFailedError, match="no space left"):
        await put_all(store, "c")


async def test_a_write_that_another_one_replaced_is_not_told_as_lost(
    server: WeaviateServer, vectors: Any
) -> None:
    async with asyncio.TaskGroup() as tasks:
        for number in range(8):
            tasks.create_task(of(vectors).aput(ADA, "k", {"text": str(number)}))
    item = await of(vectors).aget(ADA, "k")
    assert item is not None
    last = server.sent("BatchObjects")[-1].objects[0].properties.non_ref_properties["text"]
    assert item.value == {"text": last}


async def test_calls_at_the_same_time_do_not_cut_each_other_off(vectors: Any) -> None:
    store = of(vectors)
    async with asyncio.TaskGroup() as tasks:
        for number in range(8):
            tasks.create_task(store.aput(ADA, str(number), {"n": number}))
    async with asyncio.TaskGroup() as tasks:
        found = [tasks.create_task(store.aget(ADA, str(number))) for number in range(8)]
    assert [(item := task.result()) and item.value for task in found] == [{"n": n} for n in range(8)]


async def test_the_documented_way_to_open_a_store_works(
    server: WeaviateServer, weaviate: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (Path(__file__).parents[3] / "docs/other-stores.md").read_text()
    (block,) = [
        one for one in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "weaviate_schema" in one
    ]
    where = {"port": server.where.http.port, "grpc_port": server.where.grpc.port, "skip_init_checks": True}
    for name in ("connect_to_local", "use_async_with_local"):
        made = partial(getattr(weaviate, name), auth_credentials=weaviate.auth.AuthApiKey(KEY), **where)
        monkeypatch.setattr(weaviate, name, made)
    monkeypatch.setattr("langchain_openai.OpenAIEmbeddings", Hashed)
    names: dict[str, Any] = {}
    exec(compile(block, "docs/other-stores.md", "exec"), names)  # noqa: S102 - our own documentation
    async with names["store"]() as store:
        await store.aput(ADA, "drink", {"text": "prefers tea"})
        assert [item.key for item in await store.asearch(ADA, query="tea")] == ["drink"]


async def test_what_weaviate_refuses_is_an_error(server: WeaviateServer, weaviate: Any) -> None:
    with pytest.raises(weaviate.exceptions.UnexpectedStatusCodeError, match="anonymous access"):
        async with opened_vectors(server, Hashed(), NAME, key="another", schema=weaviate_schema(NAME)):
            pass
    assert server.schema == {}
