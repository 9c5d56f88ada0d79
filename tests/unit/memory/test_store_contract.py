"""What LangGraph documents of a store, held by its own in memory, by ours and by those on vector stores."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from langchain_core.vectorstores import InMemoryVectorStore
from langgraph.store.base import BaseStore, GetOp, InvalidNamespaceError, ListNamespacesOp, PutOp, SearchOp
from langgraph.store.memory import InMemoryStore
from pydantic import SecretStr

from core.process import opened_process
from core.settings import Settings
from evals.scripted_model import ScriptedModel
from memory.store import MemoryStore
from memory.store_base import TenantStore
from memory.vector_store import store_on
from memory.vector_weaviate import weaviate_schema
from tests.unit.memory.pinecone_server import PineconeServer
from tests.unit.memory.vectors import pg_vectors
from tests.unit.memory.weaviate_server import opened_vectors, opened_weaviate

ADA = ("users", "ada")
Params = pytest.FixtureRequest


KINDS = (
    "in memory",
    "in postgres",
    "on vectors in memory",
    "on vectors in postgres",
    "on pinecone's client",
    "on weaviate's client",
)


@pytest.fixture(params=KINDS)
async def store(request: Params, postgres_url: str, tmp_path: Path) -> AsyncIterator[BaseStore]:
    async with ScriptedModel(dimensions=256) as model:
        settings = Settings(
            database_url=SecretStr(postgres_url), data_dir=tmp_path, embedding_base_url=model.base_url
        )
        async with opened_process(settings) as process:
            embeddings = await process.embeddings()
            if request.param == "in postgres":
                yield MemoryStore()
            elif request.param == "in memory":
                yield InMemoryStore(index={"dims": 256, "embed": embeddings})
            elif request.param == "on vectors in memory":
                yield store_on(InMemoryVectorStore(embeddings))
            elif request.param == "on pinecone's client":
                async with PineconeServer("key") as server, server.client(embeddings) as vectors:
                    yield store_on(vectors)
            elif request.param == "on weaviate's client":
                schema = weaviate_schema("LongTerm")
                async with (
                    opened_weaviate() as weaviate,
                    opened_vectors(weaviate, embeddings, "LongTerm", schema=schema) as vectors,
                ):
                    yield store_on(vectors)
            else:
                async with pg_vectors(postgres_url, embeddings, dimensions=256) as vectors:
                    yield store_on(vectors)


@pytest.fixture
def ours(store: BaseStore) -> BaseStore:
    if not isinstance(store, TenantStore):
        pytest.skip("LangGraph's store takes any filter")
    return store


async def keys(store: BaseStore, prefix: tuple[str, ...] = (), **options: Any) -> list[str]:
    return [item.key for item in await store.asearch(prefix, **options)]


async def test_what_is_put_is_got(store: BaseStore) -> None:
    value = {"text": "likes tea", "deep": {"n": [1, 2.5, None, True]}, "Ünïcode 'quoted'": '☕ \\ " %s'}
    assert await store.aget(ADA, "drink") is None
    await store.aput(ADA, "drink", value)
    item = await store.aget(ADA, "drink")
    assert item is not None
    assert (item.namespace, item.key, item.value) == (ADA, "drink", value)
    assert item.created_at.tzinfo is not None
    assert item.created_at <= item.updated_at
    assert await store.aget(("users", "bob"), "drink") is None


async def test_the_newest_put_counts_and_a_delete_removes(store: BaseStore) -> None:
    await store.aput(ADA, "drink", {"text": "tea"})
    await store.aput(ADA, "drink", {"text": "coffee"})
    item = await store.aget(ADA, "drink")
    assert item is not None
    assert item.value == {"text": "coffee"}
    assert await keys(store) == ["drink"]
    await store.adelete(ADA, "drink")
    await store.adelete(ADA, "never there")
    assert await store.aget(ADA, "drink") is None
    assert await keys(store) == []


async def test_a_search_takes_what_lies_inside_the_namespace_whole_labels_only(store: BaseStore) -> None:
    places = [ADA, ("users", "ada", "notes"), ("users", "adam"), ("users",), ("teams", "ada"), ("users/",)]
    for number, place in enumerate(places):
        await store.aput(place, str(number), {"text": "x"})
    assert sorted(await keys(store, ADA)) == ["0", "1"]
    assert sorted(await keys(store, ("users",))) == ["0", "1", "2", "3"]
    assert sorted(await keys(store)) == ["0", "1", "2", "3", "4", "5"]
    assert await keys(store, ("none",)) == []
    assert sorted(await keys(store, ADA, query="x")) == ["0", "1"]


FILTERS: list[tuple[dict[str, Any], str]] = [
    ({}, "abcd"),
    ({"type": "report"}, "ab"),
    ({"type": "report", "n": 1}, "a"),
    ({"n": {"$eq": 2}}, "b"),
    ({"n": {"$ne": 1}}, "bcd"),
    ({"n": {"$gt": 1}}, "bc"),
    ({"n": {"$gte": 2, "$lt": 10}}, "b"),
    ({"n": {"$lte": 2}}, "abd"),
    ({"deep": {"tags": ["x", "y"]}}, "a"),
    ({"deep": {"more": {"z": 1}}}, "b"),
    ({"deep": {"tags": ["x"]}}, ""),
    ({"deep": None}, "cd"),
    ({"nothing": None}, "abcd"),
    ({"ready": True}, "c"),
    ({"type": "'; drop table boring.memory_item; --"}, ""),
    ({"'": 1}, ""),
]


async def test_filters_compare_as_documented(store: BaseStore) -> None:
    items: dict[str, dict[str, Any]] = {
        "a": {"type": "report", "n": 1, "deep": {"tags": ["x", "y"], "other": 1}},
        "b": {"type": "report", "n": 2, "deep": {"more": {"z": 1, "w": 2}}},
        "c": {"type": "note", "n": 10.5, "ready": True},
        "d": {"type": "note", "n": -1, "deep": None, "ready": False},
    }
    await store.abatch([PutOp(ADA, key, value) for key, value in items.items()])
    for wanted, expected in FILTERS:
        assert "".join(sorted(await keys(store, ADA, filter=wanted))) == expected, wanted
        assert "".join(sorted(await keys(store, filter=wanted, query="report"))) == expected, wanted
    with pytest.raises(ValueError, match="operator"):
        await keys(store, filter={"n": {"$near": 1}})


@pytest.mark.parametrize(
    "wanted",
    [{1: 1}, {"deep": {1: 1}}, {"deep": [{1: 1}]}, {"$and": {"n": 1}}, {"$or": "ab"}, {"$or": [{"$and": 1}]}],
)
async def test_a_filter_that_is_none_is_told(ours: BaseStore, wanted: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="the filter has"):
        await keys(ours, filter=wanted)


async def test_a_filter_finds_what_was_stored_in_another_form(ours: BaseStore) -> None:
    odd: dict[str, Any] = {"deep": {"nul\0": 1, "half\ud800": "a\0"}, "none": float("nan")}
    await ours.abatch([PutOp(ADA, "odd", odd), PutOp(ADA, "plain", {"none": 1})])
    for wanted in odd.items():
        assert await keys(ours, filter=dict([wanted])) == ["odd"]
    assert await keys(ours, filter={"none": {"$gt": float("nan")}}) == []


async def test_of_a_long_question_the_beginning_is_asked(ours: BaseStore) -> None:
    await ours.aput(ADA, "drink", {"text": "green tea"})
    words = " ".join(str(number) for number in range(50_000))
    (asked,) = await ours.asearch(ADA, query=f"green tea {words}")
    (short,) = await ours.asearch(ADA, query=f"green tea {words}"[:8_000])
    assert asked.score == short.score


async def test_what_would_be_kept_for_ages_is_refused(ours: BaseStore) -> None:
    with pytest.raises(ValueError, match="ttl is 1000000000000"):
        await ours.aput(ADA, "drink", {"text": "tea"}, ttl=1e12)
    await ours.aput(ADA, "drink", {"text": "tea"}, ttl=4e9)
    assert await keys(ours) == ["drink"]


LOOP: dict[str, Any] = {}
LOOP["twice"] = [LOOP, LOOP]


def nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels - 1):
        value = {"in": value}
    return value


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"a": {1}}, "type set"),
        ({"a": [b"x"]}, "type bytes"),
        ({"a": {"b": datetime.now(UTC)}}, "type datetime"),
        ({"a": {(1, 2): "x"}}, "type tuple"),
        (["a"], "type list"),
        (nested(101), "nested too deep"),
        (nested(3_000), "nested too deep"),
        (LOOP, "nested too deep"),
    ],
    ids=["set", "bytes", "datetime", "tuple", "list", "101 levels", "3,000 levels", "holds itself"],
)
async def test_a_value_that_can_not_be_stored_is_told_with_its_key(
    ours: BaseStore, value: Any, told: str
) -> None:
    with pytest.raises(ValueError, match=f"the value of 'odd' .*{told}"):
        await ours.abatch([PutOp(ADA, "good", {"x": 1}), PutOp(ADA, "odd", value)])
    assert await keys(ours) == []


async def test_all_that_json_holds_is_stored(ours: BaseStore) -> None:
    value = nested(100) | {"a": (1, 2.5, None, True), "b": []}
    await ours.aput(ADA, "good", value)
    item = await ours.aget(ADA, "good")
    assert item is not None
    assert item.value == value | {"a": [1, 2.5, None, True]}


async def test_limits_and_depths_that_are_none_are_refused(ours: BaseStore) -> None:
    await ours.aput(ADA, "k", {"x": 1})
    options: dict[str, Any]
    for options in ({"limit": 1.5}, {"limit": -1}, {"offset": "1"}):
        with pytest.raises(ValueError, match="expected whole numbers"):
            await ours.asearch(ADA, **options)
        with pytest.raises(ValueError, match="expected whole numbers"):
            await ours.alist_namespaces(**options)
    for depth in (-1, 1.5):
        with pytest.raises(ValueError, match="max_depth is"):
            await ours.alist_namespaces(max_depth=depth)  # pyright: ignore[reportArgumentType] - as callers without types do
    for name in ("suffix", "prefix"):
        options = {name: ("a\ud800",)}
        with pytest.raises(InvalidNamespaceError, match="half characters"):
            await ours.alist_namespaces(**options)


async def test_limit_and_offset_page_through_everything_once(store: BaseStore) -> None:
    await store.abatch([PutOp(ADA, f"k{n}", {"text": f"word{n} shared"}) for n in range(7)])
    for query in (None, "shared word3"):
        pages = [await keys(store, ADA, query=query, limit=3, offset=offset) for offset in (0, 3, 6, 9)]
        assert [len(page) for page in pages] == [3, 3, 1, 0]
        assert sorted(key for page in pages for key in page) == [f"k{n}" for n in range(7)]
    assert len(await keys(store, ADA, limit=0)) == 0


async def test_the_best_match_comes_first_with_a_score(store: BaseStore) -> None:
    await store.aput(ADA, "drink", {"text": "Ada prefers green tea in the morning"})
    await store.aput(ADA, "pet", {"text": "The dog of Ada is called Byron"})
    await store.aput(ADA, "work", {"text": "She writes programs for engines"})
    items = await store.asearch(ADA, query="green tea")
    assert items[0].key == "drink"
    scores = [item.score for item in items]
    assert all(score is not None for score in scores)
    assert scores == sorted(scores, key=lambda score: -(score or 0))


async def test_what_is_not_indexed_is_found_without_a_score_and_last(store: BaseStore) -> None:
    await store.aput(ADA, "secret", {"text": "green tea"}, index=False)
    await store.aput(ADA, "drink", {"text": "something else"})
    items = await store.asearch(ADA, query="green tea")
    assert [item.key for item in items] == ["drink", "secret"]
    assert items[1].score is None
    assert await store.aget(ADA, "secret") is not None


async def test_only_the_named_fields_are_searched(store: BaseStore) -> None:
    await store.aput(ADA, "one", {"title": "green tea", "body": "engines"}, index=["title"])
    await store.aput(ADA, "two", {"title": "engines", "tags": ["green", "tea"]}, index=["title"])
    await store.aput(ADA, "three", {"title": "x"}, index=["missing"])
    assert await keys(store, ADA, query="green tea") == ["one", "two", "three"]


NAMESPACES = [("a", "b", "c"), ("a", "b", "d", "e"), ("a", "b", "d", "i"), ("a", "c", "f"), ("b", "a", "f")]
LISTINGS: list[tuple[dict[str, Any], list[tuple[str, ...]]]] = [
    ({}, NAMESPACES),
    ({"prefix": ("a", "b")}, NAMESPACES[:3]),
    ({"prefix": ("a", "*", "f")}, [("a", "c", "f")]),
    ({"suffix": ("f",)}, NAMESPACES[3:]),
    ({"suffix": ("d", "*")}, NAMESPACES[1:3]),
    ({"prefix": ("a",), "suffix": ("f",)}, [("a", "c", "f")]),
    ({"prefix": ("a", "b"), "max_depth": 3}, [("a", "b", "c"), ("a", "b", "d")]),
    ({"limit": 2, "offset": 1}, NAMESPACES[1:3]),
    ({"prefix": ("a", "b", "c", "d")}, []),
]


async def test_namespaces_are_listed_by_prefix_suffix_and_depth(store: BaseStore) -> None:
    await store.abatch([PutOp(place, "k", {"at": place[-1] + place[-2]}) for place in reversed(NAMESPACES)])
    for options, expected in LISTINGS:
        assert await store.alist_namespaces(**options) == expected, options


async def test_a_batch_reads_what_was_before_and_keeps_the_order_of_its_answers(store: BaseStore) -> None:
    await store.aput(ADA, "old", {"text": "before"})
    answers: list[Any] = await store.abatch(
        [
            GetOp(ADA, "old"),
            PutOp(ADA, "old", {"text": "after"}),
            PutOp(ADA, "twice", {"n": 1}),
            PutOp(ADA, "twice", {"n": 2}),
            SearchOp(ADA, filter={"text": "before"}),
            ListNamespacesOp(),
            GetOp(ADA, "twice"),
        ]
    )
    assert answers[0].value == {"text": "before"}
    assert answers[1:4] == [None, None, None]
    assert [item.key for item in answers[4]] == ["old"]
    assert answers[5:] == [[ADA], None]
    twice = await store.aget(ADA, "twice")
    assert twice is not None
    assert twice.value == {"n": 2}
    assert await store.abatch([]) == []


async def test_what_is_no_namespace_is_refused(store: BaseStore) -> None:
    no_namespaces: list[tuple[str, ...]] = [(), ("a.b",), ("",), ("a", "\0"), ("langgraph", "x")]
    for namespace in no_namespaces:
        with pytest.raises(InvalidNamespaceError):
            await store.aput(namespace, "k", {"x": 1})
