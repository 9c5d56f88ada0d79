"""No tenant gets to see, change or forge a row of another, by the store or by SQL written by hand."""

import asyncio
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langgraph.store.base import PutOp
from psycopg.errors import InsufficientPrivilege
from pydantic import SecretStr

from core.database import Database
from core.process import opened_process
from core.settings import Settings
from core.tenants import as_tenant
from evals.scripted_model import ScriptedModel
from memory.facts import recall, remember
from memory.items import Origin
from memory.store import MemoryStore
from memory.store_building import index_namespace
from tests.unit.memory.crowds import crowded_settings

NAMES = st.sampled_from(["acme", "umbrella", "o'neil", "a.b", "%", "local", "Ünï"])
WORDS = st.lists(
    st.sampled_from(["tea", "green", "dog", "engine", "ada", "' or true --"]), min_size=1, max_size=4
)
WRITES = st.lists(st.tuples(NAMES, NAMES, WORDS), min_size=1, max_size=5)
BY_HAND: tuple[LiteralString, ...] = (
    "select * from boring.memory_item",
    "select * from boring.memory_item where tenant <> current_setting('boring.tenant') or true",
    "select a.* from boring.memory_item a cross join boring.memory_item b",
    "select * from boring.memory_item order by uses, (select count(*) from boring.memory_item)",
    "select * from boring.memory_words where words @@ 'tea'",
    "select * from boring.memory_scope",
    "select * from boring.memory_word_count",
    "select * from boring.memory_model",
    "update boring.memory_item set uses = uses + 1 returning *",
)


async def _fill_large_namespaces() -> None:
    for owner in ("acme", "o'neil", "%"):
        store = MemoryStore(origin=Origin(owner, "many"))
        texts = [f"green tea {n} of the dog" for n in range(120)]
        await store.abatch([PutOp(("many",), text, {"text": text, "of": owner}) for text in texts])


async def _nothing_of_others_is_seen(
    database: Database, writes: list[tuple[str, str, list[str]]], tenant: str, user: str, question: str
) -> None:
    for name in (tenant, writes[0][0]):
        await index_namespace(name)
    for owner, writer, words in writes:
        said = Origin(owner, writer)
        await remember(" ".join(words), subject=words[0], origin=said)
        await MemoryStore(origin=said).aput(("shared",), writer, {"text": " ".join(words), "of": owner})
    store = MemoryStore(origin=Origin(tenant, user))
    for found in (await store.asearch((), limit=100), await store.asearch((), query=question, limit=100)):
        assert {item.value["of"] for item in found if "of" in item.value} <= {tenant}
    memories = await recall(question, limit=100, origin=Origin(tenant, user))
    assert {(memory.origin.tenant, memory.origin.user) for memory in memories} <= {(tenant, user)}
    async with as_tenant(database, tenant) as connection:
        await connection.execute("select set_config('boring.asked', 'tea', true)")
        for statement in BY_HAND:
            rows = await (await connection.execute(statement)).fetchall()
            assert {row["tenant"] for row in rows} <= {tenant}


def test_no_row_of_another_tenant_is_returned(postgres_url: str, tmp_path: Path) -> None:
    with asyncio.Runner() as runner:
        model = ScriptedModel(dimensions=64)
        runner.run(model.__aenter__())
        given_settings = crowded_settings(postgres_url, tmp_path, model)
        process = opened_process(given_settings)
        database = runner.run((runner.run(process.__aenter__())).database())
        runner.run(_fill_large_namespaces())

        @settings(max_examples=15, deadline=None, database=None)
        @given(WRITES, NAMES, NAMES, WORDS)
        def holds(writes: list[tuple[str, str, list[str]]], tenant: str, user: str, words: list[str]) -> None:
            runner.run(_nothing_of_others_is_seen(database, writes, tenant, user, " ".join(words)))

        holds()
        runner.run(process.__aexit__(None, None, None))
        runner.run(model.__aexit__(None, None, None))


@pytest.fixture
async def database(postgres_url: str, tmp_path: Path) -> Any:
    async with opened_process(Settings(database_url=SecretStr(postgres_url), data_dir=tmp_path)) as process:
        database = await process.database()
        for tenant in ("acme", "umbrella"):
            store = MemoryStore(origin=Origin(tenant, "ada"))
            await store.aput(("a",), "k", {"text": tenant}, index=False)
        yield database


INSERT = (
    "insert into boring.memory_item (id, tenant, user_id, namespace, key, value, created_at, updated_at,"
    " valid_from) values (gen_random_uuid(), 'umbrella', 'x', '{a}', 'z', '{}', now(), now(), now())"
)


@pytest.mark.parametrize(
    "forged",
    [
        INSERT,
        "update boring.memory_item set tenant = 'umbrella'",
        "alter table boring.memory_item disable row level security",
        "alter table boring.memory_item no force row level security",
        "drop policy one_tenant on boring.memory_item",
        "truncate boring.memory_item",
        "select * from boring.run",
    ],
)
async def test_the_application_role_can_neither_forge_rows_nor_lift_the_rule(
    database: Database, forged: LiteralString
) -> None:
    with pytest.raises(InsufficientPrivilege):
        async with as_tenant(database, "acme") as connection:
            await connection.execute(forged)


async def test_deleting_everything_deletes_what_is_ones_own(database: Database) -> None:
    async with as_tenant(database, "acme") as connection:
        assert (await connection.execute("delete from boring.memory_item")).rowcount == 1
    async with as_tenant(database, "umbrella") as connection:
        assert (await connection.execute("select from boring.memory_item")).rowcount == 1


async def test_without_a_tenant_there_are_no_rows(database: Database) -> None:
    async with database.pool.connection() as connection, connection.transaction():
        await connection.execute("set local role boring_app")
        assert (await connection.execute("select from boring.memory_item")).rowcount == 0


async def test_the_owner_of_the_table_is_bound_too(database: Database) -> None:
    with psycopg.connect(database.url) as connection:
        connection.execute("create role plain_owner")
        connection.execute("grant usage, create on schema boring to plain_owner")
        connection.execute("alter table boring.memory_item owner to plain_owner")
        connection.execute("set local role plain_owner")
        assert connection.execute("select from boring.memory_item").rowcount == 0
        connection.execute("select set_config('boring.tenant', 'acme', true)")
        assert connection.execute("select tenant from boring.memory_item").fetchall() == [("acme",)]
        connection.rollback()
