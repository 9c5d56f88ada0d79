"""What our store promises beyond LangGraph's: versions, expiry, one embedding model, the run's tenant."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
from langgraph.graph import StateGraph
from langgraph.runtime import Runtime
from langgraph.store.base import PutOp
from psycopg import AsyncConnection
from pydantic import SecretStr
from typing_extensions import TypedDict

from core.context import RunContext
from core.process import current_process, opened_process
from core.settings import Settings
from core.tenants import as_tenant
from evals.scripted_model import ScriptedModel
from memory.items import Origin
from memory.store import MemoryStore
from memory.store_uses import uses

ADA = ("users", "ada")


@pytest.fixture
async def model() -> AsyncIterator[ScriptedModel]:
    async with ScriptedModel(dimensions=256) as model:
        yield model


@pytest.fixture
def settings(postgres_url: str, tmp_path: Path, model: ScriptedModel) -> Settings:
    return Settings(
        database_url=SecretStr(postgres_url), data_dir=tmp_path, embedding_base_url=model.base_url
    )


@pytest.fixture
async def store(settings: Settings) -> AsyncIterator[MemoryStore]:
    async with opened_process(settings):
        yield MemoryStore()


async def rows(url: str, query: str) -> list[Any]:
    """Run a statement as the superuser, past row-level security."""
    async with await AsyncConnection.connect(url, autocommit=True) as connection:
        cursor = await connection.execute(query.encode())
        return await cursor.fetchall() if cursor.description else []


async def keys(store: MemoryStore, query: str | None = None, **options: Any) -> list[str]:
    return [item.key for item in await store.asearch((), query=query, **options)]


async def test_a_put_ends_the_version_before_it_and_keeps_it(store: MemoryStore, postgres_url: str) -> None:
    for text in ("tea", "tea", "coffee"):
        await store.aput(ADA, "drink", {"text": text})
    versions = await rows(
        postgres_url,
        "select a.value ->> 'text', b.value ->> 'text', a.valid_to = b.valid_from,"
        " a.created_at = b.created_at from boring.memory_item a left join boring.memory_item b"
        " on a.superseded_by = b.id"
        " order by a.valid_from",
    )
    assert versions == [("tea", "coffee", True, True), ("coffee", None, None, None)]
    assert await keys(store, "tea") == ["drink"]
    await store.adelete(ADA, "drink")
    assert await rows(postgres_url, "select 1 from boring.memory_item") == []


async def test_writers_of_one_key_at_once_leave_one_current_version(
    store: MemoryStore, postgres_url: str
) -> None:
    async with asyncio.TaskGroup() as group:
        for n in range(8):
            places = ["a", "b"] if n % 2 else ["b", "a"]
            group.create_task(store.abatch([PutOp(ADA, key, {"n": n}) for key in places]))
    counted = "select count(*), count(*) filter (where valid_to is null) from boring.memory_item"
    assert await rows(postgres_url, counted) == [(16, 2)]
    assert await rows(postgres_url, "select 1 from boring.memory_item where valid_to < valid_from") == []


async def test_conditions_are_joined_and_texts_have_an_order(store: MemoryStore) -> None:
    await store.abatch([PutOp(ADA, key, {"on": key, "n": n}) for n, key in enumerate("abc")])
    both = {"$and": [{"n": {"$gt": 0}}, {"$or": [{"on": "a"}, {"on": "b"}]}]}
    assert await keys(store, filter=both) == ["b"]
    assert sorted(await keys(store, filter={"on": {"$gte": "b"}})) == ["b", "c"]
    assert await keys(store, filter={"on": {"$gt": 0}}) == await keys(store, filter={"$or": []}) == []
    with pytest.raises(ValueError, match="expected a number"):
        await keys(store, filter={"n": {"$gt": None}})


async def test_what_has_expired_is_gone_for_every_reader(store: MemoryStore) -> None:
    await store.aput(ADA, "brief", {"text": "green tea"}, ttl=0)
    assert await store.aget(ADA, "brief") is None
    assert await keys(store) == await keys(store, "green tea") == []
    assert await store.alist_namespaces() == []
    await store.aput(ADA, "brief", {"text": "green tea"}, ttl=5)
    assert await keys(store, "green tea") == ["brief"]
    with pytest.raises(ValueError, match="ttl is -1"):
        await store.aput(ADA, "brief", {"text": "x"}, ttl=-1)


async def test_reading_keeps_an_item_unless_told_not_to(store: MemoryStore, postgres_url: str) -> None:
    await store.aput(ADA, "k", {"text": "green tea"}, ttl=60)

    async def moved(**read: Any) -> bool:
        await rows(postgres_url, "update boring.memory_item set expires_at = now() + interval '1 minute'")
        await (store.aget(ADA, "k", **read) if "query" not in read else store.asearch((), **read))
        (row,) = await rows(
            postgres_url, "select expires_at > now() + interval '59 min' from boring.memory_item"
        )
        return row[0]

    assert await moved()
    assert await moved(query="tea")
    assert await moved(query=None)
    assert not await moved(refresh_ttl=False)
    assert not await moved(query="tea", refresh_ttl=False)


async def test_among_equals_the_newer_day_comes_first_then_what_was_used_more(
    store: MemoryStore, postgres_url: str
) -> None:
    await store.abatch([PutOp(ADA, key, {"text": "green tea"}) for key in ("old", "used", "new")])
    await store.aget(ADA, "used")
    await store.aget(ADA, "old")
    await store.aget(ADA, "old")
    await (await uses()).write()
    await rows(
        postgres_url,
        "update boring.memory_item set valid_from = case key when 'old' then now() - interval '9 days'"
        " when 'used' then date_trunc('day', now(), 'UTC') else now() end",
    )
    assert await keys(store, "green tea") == ["used", "new", "old"]
    assert await keys(store, "green tea", limit=1) == ["used"]
    await (await uses()).write()
    assert await rows(postgres_url, "select key, uses from boring.memory_item order by key") == [
        ("new", 1),
        ("old", 3),
        ("used", 3),
    ]


async def test_words_find_what_meaning_does_not_and_the_other_way_round(store: MemoryStore) -> None:
    texts = ["engines run", "what of it and of all", "milk", "jam"]  # the test's meaning knows no stems
    await store.abatch([PutOp(ADA, text, {"text": text}) for text in texts])
    assert (await keys(store, "an engine"))[0] == "engines run"
    assert (await keys(store, "what of it"))[0] == "what of it and of all"  # words that are not indexed
    assert len(await keys(store, "'\\ | & ! <-> (:*) 100% of \0")) == 4


class State(TypedDict):
    found: list[str]


async def _note(state: State, runtime: Runtime[RunContext]) -> State:
    assert runtime.store is not None
    await runtime.store.aput(ADA, runtime.context.tenant, {"text": "green tea"})
    found = await runtime.store.asearch((), query="tea")
    return {"found": [*state["found"], *(item.key for item in found)]}


async def test_a_run_reads_and_writes_for_its_tenant(store: MemoryStore, postgres_url: str) -> None:
    graph = StateGraph(State, RunContext).add_node("note", _note).set_entry_point("note").compile(store=store)
    for tenant in ("acme", "umbrella"):
        state = await graph.ainvoke(
            {"found": []},
            {"configurable": {"thread_id": "t1"}},
            context=RunContext(tenant=tenant, user="ada"),
        )
        assert state["found"] == [tenant]
    assert await keys(store) == []
    assert await keys(MemoryStore(origin=Origin("acme", "anyone"))) == ["acme"]
    assert await rows(
        postgres_url, "select tenant, user_id, thread_id, trusted from boring.memory_item order by 1"
    ) == [("acme", "ada", "t1", False), ("umbrella", "ada", "t1", False)]


async def test_a_batch_that_holds_something_unreadable_does_nothing(store: MemoryStore) -> None:
    for bad in (PutOp((), "k", {"x": 1}), PutOp(ADA, "\0", {"x": 1}), PutOp(("\ud800",), "k", {"x": 1})):
        with pytest.raises(ValueError, match=r"empty|can't be stored"):
            await store.abatch([PutOp(ADA, "good", {"x": 1}), bad])
    with pytest.raises(NotImplementedError, match="aget"):
        store.get(ADA, "good")
    assert await keys(store) == []


async def test_names_that_are_too_long_for_an_index_are_refused(store: MemoryStore) -> None:
    def name(size: int) -> str:
        return token_hex(size // 2)

    for place, key in ((ADA, name(20_000)), (("users", name(5_000)), "k"), (("a", name(1_500)), name(1_500))):
        with pytest.raises(ValueError, match=r"take .* bytes together; expected at most 2,600"):
            await store.abatch([PutOp(ADA, "good", {"x": 1}), PutOp(place, key, {"x": 1})])
        assert await store.aget(place, key) is None
        await store.adelete(place, key)
    assert await keys(store) == []
    await store.aput(("a", name(1_200)), name(1_200), {"x": 1})
    assert len(await keys(store)) == 1
    with pytest.raises(ValueError, match="the tenant and the user take"):
        await MemoryStore(origin=Origin("acme", name(5_000))).aput(ADA, "k", {"x": 1})


async def test_odd_values_are_kept_as_far_as_json_goes(store: MemoryStore) -> None:
    await store.aput(
        ADA, "odd", {"nul": "a\0b", "half": "\ud800", "none": float("nan"), "long": "word " * 9000}
    )
    item = await store.aget(ADA, "odd")
    assert item is not None
    assert (item.value["nul"], item.value["half"], item.value["none"]) == (
        "a\N{REPLACEMENT CHARACTER}b",
        "?",
        "nan",
    )
    assert len(item.value["long"]) == 45000


async def test_the_pool_gives_its_connections_back_as_they_were(store: MemoryStore) -> None:
    database = await (await current_process()).database()
    async with as_tenant(database, "acme") as connection:
        row = await (await connection.execute("select current_user as who")).fetchone()
        assert row == {"who": "boring_app"}
    async with database.pool.connection() as connection:
        row = await (await connection.execute("select current_user <> 'boring_app' as other")).fetchone()
        assert row == {"other": True}
    assert await keys(store) == []


async def test_a_search_is_fast_before_postgres_knows_how_many_memories_there_are(
    settings: Settings, postgres_url: str
) -> None:
    async with await AsyncConnection.connect(postgres_url, autocommit=True) as connection:
        await connection.execute(
            "do $$ begin execute format("
            "'alter database %I set statement_timeout = %L', current_database(), '800ms'); end $$"
        )
    async with opened_process(settings.model_copy(update={"memory_exact_rows": 100})):
        await MemoryStore().abatch([PutOp(ADA, str(n), {"text": f"green tea {n}"}) for n in range(250)])
        found = await MemoryStore().asearch((), query="green tea 7", limit=100)
        assert (found[0].key, len(found)) == ("7", 100)
        assert len(await MemoryStore().asearch((), limit=100)) == 100
