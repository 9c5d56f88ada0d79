"""Large namespaces get indexes: the same is found, nobody waits, and what was interrupted is repaired."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from langgraph.store.base import PutOp, SearchOp
from psycopg import AsyncConnection

from core.process import current_process, opened_process
from core.tenants import as_tenant
from evals.scripted_model import ScriptedModel
from memory import store_building
from memory.facts import fact_item
from memory.items import Origin
from memory.items_writing import write
from memory.store import MemoryStore
from memory.store_building import index_namespace
from memory.store_models import question_for
from memory.store_search import found
from tests.unit.memory.crowds import LARGE_FROM, NOTES, crowded_settings, text

LARGE = 300


@pytest.fixture
async def store(postgres_url: str, tmp_path: Path) -> AsyncIterator[MemoryStore]:
    async with ScriptedModel(dimensions=64) as model:
        settings = crowded_settings(postgres_url, tmp_path, model)
        async with opened_process(settings):
            yield MemoryStore()


async def fill(store: MemoryStore, rows: int = LARGE, place: tuple[str, ...] = NOTES) -> None:
    await store.abatch([PutOp(place, str(n), {"text": text(n)}) for n in range(rows)])


async def indexes(url: str) -> list[str]:
    async with await AsyncConnection.connect(url) as connection:
        cursor = await connection.execute(
            "select relname from pg_index join pg_class on pg_class.oid = indexrelid"
            " where relname ~ '^memory_(scope|words)_[0-9]' and indisvalid order by 1"
        )
        return [row[0] for row in await cursor.fetchall()]


async def keys(store: MemoryStore, query: str, **options: Any) -> list[str]:
    return [item.key for item in await store.asearch(options.pop("place", NOTES), query=query, **options)]


class Explaining:
    """A connection that tells the plan of a search in place of doing it."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.plan = ""

    async def execute(self, statement: Any, values: Any = None) -> Any:
        if not isinstance(statement, bytes) or b"begin_search" in statement:
            return await self._connection.execute(statement, values)
        cursor = await self._connection.execute(b"explain " + statement, values)
        self.plan += "\n".join(row["QUERY PLAN"] for row in await cursor.fetchall())
        return await self._connection.execute("select 0 as near, null as id, 0 as rows")


async def plan_of(query: str) -> str:
    database = await (await current_process()).database()
    asked = await question_for("local", query)
    async with as_tenant(database, "local") as connection:
        explaining: Any = Explaining(connection)
        op = SearchOp(NOTES, query=query, limit=5)
        await found(explaining, op, asked)
        return explaining.plan


async def test_what_indexes_find_is_what_looking_at_everything_finds(
    store: MemoryStore, postgres_url: str
) -> None:
    await fill(store)
    questions = [text(n) for n in range(1000, 1010)]
    exact = [await keys(store, question, limit=5) for question in questions]
    assert await index_namespace("local", NOTES)
    assert len(await indexes(postgres_url)) == 2
    indexed = [await keys(store, question, limit=5) for question in questions]
    same = sum(len(set(one) & set(other)) for one, other in zip(exact, indexed, strict=True))
    assert same >= 0.95 * 5 * len(questions)


async def test_both_indexes_are_used(store: MemoryStore, postgres_url: str) -> None:
    await fill(store)
    await index_namespace("local", NOTES)
    plan = await plan_of("word1 word2")
    assert [name for name in await indexes(postgres_url) if name not in plan] == []


async def test_what_changes_after_the_build_is_found_as_it_is(store: MemoryStore) -> None:
    await fill(store)
    await index_namespace("local", NOTES)
    await store.aput(NOTES, "7", {"text": "an aardvark ate the quince"})
    assert (await keys(store, "aardvark quince", limit=3))[0] == "7"
    await store.aput(NOTES, "7", {"text": "a zebra drank the water"})
    assert (await keys(store, "zebra water", limit=3))[0] == "7"
    found_rows = await store.asearch(NOTES, query="aardvark quince", limit=20)
    assert all("aardvark" not in item.value["text"] for item in found_rows)
    await store.aput(NOTES, "brief", {"text": "an okapi"}, ttl=0)
    await store.adelete(NOTES, "7")
    assert not {"7", "brief"} & set(await keys(store, "zebra water okapi", limit=50))


async def test_a_filter_that_leaves_few_finds_them_all(store: MemoryStore) -> None:
    await fill(store)
    await store.abatch([PutOp(NOTES, f"odd {n}", {"text": text(n), "odd": True}) for n in range(3)])
    await index_namespace("local", NOTES)
    assert sorted(await keys(store, text(1), filter={"odd": True})) == ["odd 0", "odd 1", "odd 2"]


async def test_a_search_among_many_begins_the_build_and_does_not_wait(
    store: MemoryStore, postgres_url: str
) -> None:
    await fill(store)
    async with await AsyncConnection.connect(postgres_url) as writer:
        await writer.execute("update boring.memory_item set uses = uses")  # a build has to wait for this
        assert len(await keys(store, text(1), limit=5)) == 5
        assert len(await keys(store, text(2), limit=5)) == 5
        assert await indexes(postgres_url) == []
        await writer.rollback()
    assert await index_namespace("local", NOTES)
    assert len(await indexes(postgres_url)) == 2


async def test_a_build_that_was_interrupted_is_made_good(store: MemoryStore, postgres_url: str) -> None:
    await fill(store)
    async with await AsyncConnection.connect(postgres_url) as writer:
        await writer.execute("update boring.memory_item set uses = uses")
        building = asyncio.create_task(index_namespace("local", NOTES))
        async with await AsyncConnection.connect(postgres_url, autocommit=True) as other:
            ended = False
            while not ended:
                cursor = await other.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity"
                    " where query ~* 'create index concurrently' and wait_event_type = 'Lock'"
                )
                ended = await cursor.fetchone() is not None
        with pytest.raises(Exception, match="terminating connection"):
            await building
        await writer.rollback()
    assert await indexes(postgres_url) == []
    assert len(await keys(store, text(1), limit=5)) == 5
    assert await index_namespace("local", NOTES)
    assert len(await indexes(postgres_url)) == 2


async def test_builders_at_once_build_once(store: MemoryStore, postgres_url: str) -> None:
    await fill(store)
    async with asyncio.TaskGroup() as group:
        builders = [group.create_task(index_namespace("local", NOTES)) for _ in range(4)]
    assert all(builder.result() for builder in builders)
    assert len(await indexes(postgres_url)) == 2


async def test_a_namespace_that_has_shrunk_loses_its_indexes(store: MemoryStore, postgres_url: str) -> None:
    await fill(store)
    await index_namespace("local", NOTES)
    await store.abatch([PutOp(NOTES, str(n), None) for n in range(LARGE_FROM // 2 - 1, LARGE)])
    assert not await index_namespace("local", NOTES)
    assert await indexes(postgres_url) == []
    assert len(await keys(store, text(1), limit=5)) == 5


async def test_who_writes_while_a_namespace_loses_its_indexes_is_not_in_its_way(
    store: MemoryStore, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def none(*_: object) -> None:
        """Leave the indexes: dropping them would wait for the writer."""

    await fill(store)
    await index_namespace("local", NOTES)
    await store.abatch([PutOp(NOTES, str(n), None) for n in range(1, LARGE)])
    monkeypatch.setattr(store_building, "_drop_indexes", none)
    origin = Origin("local", "ada")
    new = replace(await fact_item("a new one", "new", origin=origin), namespace=NOTES)
    async with as_tenant(await (await current_process()).database(), "local") as connection:
        await write(connection, "local", gone=[(NOTES, "0")])
        losing = asyncio.create_task(index_namespace("local", NOTES))
        await somebody_waits(postgres_url)
        await write(connection, "local", items=[new])
    assert not await losing
    assert await keys(store, "new", limit=5) == ["new"]


async def somebody_waits(url: str) -> None:
    """Wait until a session waits for a lock of another."""
    async with asyncio.timeout(20), await AsyncConnection.connect(url, autocommit=True) as connection:
        waiting = "select from pg_locks where not granted and locktype <> 'advisory'"
        while not (await connection.execute(waiting)).rowcount:  # noqa: ASYNC110 - its event is in the database
            await asyncio.sleep(0.01)


async def test_a_search_of_the_whole_tenant_and_one_inside_have_indexes_of_their_own(
    store: MemoryStore, postgres_url: str
) -> None:
    await fill(store)
    await fill(store, LARGE_FROM, ("other",))
    await index_namespace("local", NOTES)
    await index_namespace("local")
    assert len(await indexes(postgres_url)) == 4
    everything = await store.asearch((), query=text(1), limit=40)
    assert {item.namespace for item in everything} == {NOTES, ("other",)}


async def test_words_of_others_are_seen_by_nobody(store: MemoryStore) -> None:
    await fill(store)
    await index_namespace("local", NOTES)
    database = await (await current_process()).database()
    everything = "select count(*) as n from boring.memory_words"
    for tenant, asked, least in (("local", "word1", 1), ("local", "", 0), ("acme", "word1", 0)):
        async with as_tenant(database, tenant) as connection:
            await connection.execute("select set_config('boring.asked', %s, true)", (asked,))
            row = await (await connection.execute(everything)).fetchone()
            assert row is not None
            assert (row["n"] > 0) == bool(least)
    assert await MemoryStore(origin=Origin("acme", "ada")).asearch(NOTES, query="word1") == []


async def test_how_often_a_word_stands_in_a_text_is_counted_rightly(store: MemoryStore) -> None:
    del store  # has brought the database up to date
    statement = """
        select n, boring.times_of(to_tsvector('english', repeat('tea ', n) || repeat(' cup', n % 7)), 'tea')
            as times from generate_series(1, 400) as n
    """
    database = await (await current_process()).database()
    async with database.pool.connection() as connection:
        rows = await connection.execute(statement)
        counted = {row["n"]: row["times"] for row in await rows.fetchall()}
    assert counted == {n: min(n, 255) for n in range(1, 401)}


async def test_expired_memories_push_no_other_out_of_a_search_by_words(
    store: MemoryStore, postgres_url: str
) -> None:
    await fill(store)
    long = "zebra " + " ".join(f"other{n}" for n in range(60))
    expired = [PutOp(NOTES, f"gone {n}", {"text": f"zebra {n}"}) for n in range(60)]
    await store.abatch([*expired, PutOp(NOTES, "live", {"text": long})])
    async with await AsyncConnection.connect(postgres_url, autocommit=True) as connection:
        await connection.execute("update boring.memory_item set expires_at = now() where key ~ '^gone'")
    exact = await keys(store, "zebra", limit=10)
    assert await index_namespace("local", NOTES)
    assert "live" in exact
    assert "live" in await keys(store, "zebra", limit=10)
