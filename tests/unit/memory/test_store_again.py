"""A namespace that was searched before is searched in one message, and what changed meanwhile is noticed."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import pytest
from langgraph.store.base import PutOp
from psycopg import AsyncConnection
from psycopg.errors import InsufficientPrivilege
from psycopg.pq import Trace

from core.process import current_process, opened_process
from core.settings import Settings
from core.tenants import Connection
from evals.scripted_model import ScriptedModel
from memory.items import Origin
from memory.store import MemoryStore
from memory.store_building import index_namespace
from memory.store_reembedding import reembed
from tests.unit.memory.crowds import NOTES, crowded_settings, text

QUESTION = "word1 word2"


@pytest.fixture
async def settings(postgres_url: str, tmp_path: Path) -> AsyncIterator[Settings]:
    """Those of a process, with 300 memories in an indexed namespace."""
    async with ScriptedModel(dimensions=64) as model:
        settings = crowded_settings(postgres_url, tmp_path, model)
        async with opened_process(settings):
            await MemoryStore().abatch([PutOp(NOTES, str(n), {"text": text(n)}) for n in range(300)])
            assert await index_namespace("local", NOTES)
        yield settings


@pytest.fixture
async def store(settings: Settings) -> AsyncIterator[MemoryStore]:
    async with opened_process(settings):
        yield MemoryStore()


@asynccontextmanager
async def connections() -> AsyncGenerator[list[Connection]]:
    """Yield all connections that the process has at this moment."""
    pool = (await (await current_process()).database()).pool
    async with AsyncExitStack() as stack:
        some = range(pool.get_stats()["pool_size"])
        yield [await stack.enter_async_context(pool.connection()) for _ in some]


async def keys(store: MemoryStore, query: str = QUESTION, **options: Any) -> list[str]:
    return [item.key for item in await store.asearch(NOTES, query=query, **options)]


async def messages(store: MemoryStore, folder: Path) -> int:
    """Return how many questions the server is sent for a search, each of which is waited for."""
    with TemporaryFile(dir=folder) as file:
        async with connections() as traced:
            for each in traced:
                each.pgconn.trace(file.fileno())
                each.pgconn.set_trace_flags(Trace.SUPPRESS_TIMESTAMPS)
        await keys(store)
        async with connections() as again:
            for each in again:
                each.pgconn.untrace()
        file.seek(0)
        sent = [line.split(b"\t")[0::2] for line in file]
    return sent.count([b"F", b"Query"]) + sent.count([b"F", b"Sync"])


async def test_a_search_that_was_made_before_waits_for_the_server_once(
    store: MemoryStore, tmp_path: Path
) -> None:
    first, *others = [await messages(store, tmp_path) for _ in range(4)]
    assert (first > 1, others) == (True, [1, 1, 1])


async def test_the_same_is_found_again(store: MemoryStore, postgres_url: str) -> None:
    async with await AsyncConnection.connect(postgres_url, autocommit=True) as owner:
        # What is found is counted meanwhile, and would decide among equals.
        await owner.execute("update boring.memory_item set uses = 1000 * key::int")
    questions = [text(n) for n in range(1000, 1005)]
    for options in ({"limit": 5}, {"limit": 5, "offset": 5}, {"limit": 30}, {"limit": 250}):
        first = [await keys(store, question, **options) for question in questions]
        assert [await keys(store, question, **options) for question in questions] == first


async def test_what_changes_between_two_searches_is_found_as_it_is(store: MemoryStore) -> None:
    for _ in range(2):
        assert "7" not in (await keys(store, "aardvark quince", limit=3))[:1]
    await store.aput(NOTES, "7", {"text": "an aardvark ate the quince"})
    assert (await keys(store, "aardvark quince", limit=3))[0] == "7"
    await store.adelete(NOTES, "7")
    assert "7" not in await keys(store, "aardvark quince", limit=30)


async def test_a_namespace_whose_indexes_are_gone_is_searched_all_the_same(
    store: MemoryStore, settings: Settings, tmp_path: Path
) -> None:
    assert await keys(store) == await keys(store)
    async with opened_process(settings):
        await MemoryStore().abatch([PutOp(NOTES, str(n), None) for n in range(20, 300)])
        assert not await index_namespace("local", NOTES)
    in_vain, later = await messages(store, tmp_path), await messages(store, tmp_path)
    assert in_vain == later + 1
    assert len(await keys(store, limit=50)) == 20


async def test_another_tenant_finds_nothing_in_the_place_of_the_one_before(store: MemoryStore) -> None:
    assert await keys(store) == await keys(store)
    acme = MemoryStore(origin=Origin("acme", "ada"))
    assert (await keys(acme), await keys(acme)) == ([], [])
    await acme.aput(NOTES, "theirs", {"text": QUESTION})
    assert (await keys(acme), await keys(acme)) == (["theirs"], ["theirs"])
    assert "theirs" not in await keys(store, limit=300)


@pytest.mark.usefixtures("store")
async def test_names_that_mean_something_in_statements_are_only_names() -> None:
    odd, place = MemoryStore(origin=Origin("100%s o'acme \\ {0}", "ada")), ("50% of %(it)s", "it's \\ {}")
    await odd.abatch([PutOp(place, str(n), {"text": text(n)}) for n in range(150)])
    exact = await odd.asearch(place, query=text(7), limit=150)
    assert await index_namespace("100%s o'acme \\ {0}", place)
    for _ in range(3):
        found = await odd.asearch(place, query=text(7), limit=150)
        assert (found[0].key, {item.key for item in found}) == ("7", {item.key for item in exact})
    assert (await odd.asearch(place, query="100% of %s, isn't it \\?", limit=3)) != []


async def test_memories_that_another_process_embedded_by_another_model_are_found(
    store: MemoryStore, settings: Settings
) -> None:
    assert await keys(store, text(7)) == await keys(store, text(7))
    changed = {"embedding_model": "another", "embedding_query_prefix": "query: "}
    async with opened_process(settings.model_copy(update=changed)):
        assert await reembed("local") == 300
    assert (await keys(store, text(7)))[0] == "7"
    assert (await keys(store, text(7)))[0] == "7"


async def test_a_connection_that_was_reset_is_used_on(store: MemoryStore, tmp_path: Path) -> None:
    before = [await keys(store), await keys(store)]
    async with connections() as reset:
        for each in reset:
            await each.execute("deallocate all")
    assert [await keys(store), await keys(store)] == before
    assert await messages(store, tmp_path) == 1


async def test_a_search_that_failed_does_not_keep_the_next_ones_from_being_fast(
    store: MemoryStore, postgres_url: str, tmp_path: Path
) -> None:
    before = await keys(store)
    async with (
        await AsyncConnection.connect(postgres_url, autocommit=True) as owner,
        connections(),  # so that the search gets one on which nothing was prepared
    ):
        await owner.execute("revoke select on boring.memory_words from boring_app")
        with pytest.raises(InsufficientPrivilege, match="memory_words"):
            await keys(store)
        await owner.execute("grant select on boring.memory_words to boring_app")
        assert await keys(store) == before
    assert await messages(store, tmp_path) == 1


async def test_a_connection_keeps_no_more_than_some_statements_for_it(store: MemoryStore) -> None:
    for limit in [*range(1, 30), 1]:
        assert len(await keys(store, limit=limit)) == limit
        assert len(await keys(store, limit=limit)) == limit
    held = "select count(*) as n from pg_prepared_statements where name like 'boring%'"
    async with connections() as used:
        counts = [await (await each.execute(held)).fetchall() for each in used]
    assert max(count["n"] for (count,) in counts) == 20


async def test_what_expires_is_kept_by_being_found_again(store: MemoryStore, postgres_url: str) -> None:
    await store.aput(NOTES, "brief", {"text": "an okapi"}, ttl=60)
    assert await keys(store, "okapi") == await keys(store, "okapi")
    async with await AsyncConnection.connect(postgres_url, autocommit=True) as owner:
        await owner.execute("update boring.memory_item set expires_at = now() + interval '1 minute'")
        left = "select key from boring.memory_item where expires_at > now() + interval '50 minutes'"
        await keys(store, "okapi", refresh_ttl=False)
        assert await (await owner.execute(left)).fetchall() == []
        await keys(store, "okapi")
        assert await (await owner.execute(left)).fetchall() == [("brief",)]
