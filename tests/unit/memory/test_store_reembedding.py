"""Another embedding model takes over without a gap: old vectors serve until the new ones are all there."""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from langgraph.store.base import PutOp
from psycopg import AsyncConnection

from core.embedding import embedding_name
from core.errors import ConfigurationError
from core.process import current_process, opened_process
from core.settings import Settings
from core.tenants import as_tenant
from evals.scripted_model import ScriptedModel
from memory import facts, store, store_reembedding
from memory.facts import recall, remember
from memory.items import Origin
from memory.store import MemoryStore
from memory.store_building import index_namespace
from memory.store_models import served_model
from memory.store_reembedding import reembed
from tests.unit.memory.crowds import crowded_settings

ADA = ("users", "ada")
OLD = "text-embedding-3-small"


@pytest.fixture
async def model() -> AsyncIterator[ScriptedModel]:
    async with ScriptedModel(dimensions=64) as model:
        yield model


@pytest.fixture
def before(postgres_url: str, tmp_path: Path, model: ScriptedModel) -> Settings:
    return crowded_settings(postgres_url, tmp_path, model)


@pytest.fixture
def after(before: Settings) -> Settings:
    return before.model_copy(update={"embedding_model": "another", "embedding_query_prefix": "query: "})


async def keys(query: str | None = None) -> list[str]:
    return [item.key for item in await MemoryStore().asearch((), query=query, limit=100)]


async def models(url: str) -> list[Any]:
    async with await AsyncConnection.connect(url) as connection:
        cursor = await connection.execute(
            "select embedding_model, next_model, count(*) from boring.memory_item where valid_to is null"
            " group by 1, 2 order by 1, 2"
        )
        return await cursor.fetchall()


async def fill(rows: int = 3) -> None:
    await MemoryStore().abatch([PutOp(ADA, str(n), {"text": f"green tea {n}"}) for n in range(rows)])


def asked_models(model: ScriptedModel) -> set[str]:
    return {request["model"] for request in model.embedding_requests}


async def test_the_old_vectors_serve_until_the_new_ones_are_all_there(
    before: Settings, after: Settings, model: ScriptedModel, postgres_url: str
) -> None:
    async with opened_process(before):
        await fill()
    async with opened_process(after):
        model.embedding_requests.clear()
        assert (await keys("tea 2"))[0] == "2"
        assert asked_models(model) == {OLD}
        await MemoryStore().aput(ADA, "new", {"text": "a new kettle"})
        assert (await keys("a new kettle"))[0] == "new"
        name = "another?query=query%3A+"
        assert await models(postgres_url) == [(OLD, name, 1), (OLD, None, 3)]
        assert await reembed("local") == 3
        assert await models(postgres_url) == [(name, None, 4)]
        model.embedding_requests.clear()
        assert (await keys("a new kettle"))[0] == "new"
        assert model.embedding_requests[-1]["input"] in ("query: a new kettle", ["query: a new kettle"])
        assert await reembed("local") == 0


async def test_killed_in_the_middle_it_goes_on_where_it_was(
    before: Settings, after: Settings, postgres_url: str
) -> None:
    async with opened_process(before):
        await fill(250)
    killed: list[asyncio.Task[int]] = []

    def kill(*, done: int, total: int, what: str) -> None:
        assert (total, "local" in what) == (250, True)
        if done >= 100:
            killed[0].cancel()

    async with opened_process(after):
        killed.append(asyncio.create_task(reembed("local", kill)))
        with pytest.raises(asyncio.CancelledError):
            await killed[0]
        assert len(await keys("green tea 7")) == 100
        assert (await keys("green tea 7"))[0] == "7"
    async with opened_process(after):
        assert await reembed("local") == 150
        assert (await keys("green tea 7"))[0] == "7"
    assert len(await models(postgres_url)) == 1


async def test_a_process_that_has_searched_notices_that_another_one_changed_the_model(
    before: Settings, model: ScriptedModel, postgres_url: str
) -> None:
    async with opened_process(before):
        await fill()
        assert await keys("sencha") == await keys("sencha")
        async with await AsyncConnection.connect(postgres_url) as connection:
            await connection.execute("update boring.memory_item set embedding_model = 'another'")
            await connection.execute("update boring.memory_model set model = 'another'")
        model.embedding_requests.clear()
        assert len(await keys("sencha")) == 3
        assert asked_models(model) == {OLD, "another"}


async def test_memories_of_which_no_model_is_on_record_are_searched_by_the_one_that_embedded_them(
    before: Settings, after: Settings, model: ScriptedModel, postgres_url: str
) -> None:
    async with opened_process(before):
        await fill()
    async with await AsyncConnection.connect(postgres_url) as connection:
        await connection.execute("delete from boring.memory_model")
    model.embedding_requests.clear()
    async with opened_process(after):
        assert len(await keys("sencha")) == 3
    assert asked_models(model) == {OLD}


async def test_searches_and_writes_succeed_at_every_moment(before: Settings, after: Settings) -> None:
    async with opened_process(before):
        await fill(150)
        assert await index_namespace("local", ADA)
    async with opened_process(after):
        embedding = asyncio.create_task(reembed("local"))
        number = 0
        while not embedding.done():
            number += 1
            await remember(f"the kettle {number} is red", subject=f"kettle {number}")
            assert (await keys("green tea 7"))[0] == "7"
            found = await recall(f"kettle {number} red", limit=3)
            assert found[0].value["subject"] == f"kettle {number}"
        await embedding
        assert await reembed("local") == 0
        assert (await keys("green tea 7"))[0] == "7"


async def test_without_the_old_model_words_serve_and_the_command_is_named(
    before: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened_process(before):
        await fill()
    async with ScriptedModel(dimensions=32, models=["another"]) as new:
        changed = {"embedding_model": "another", "embedding_base_url": new.base_url}
        async with opened_process(before.model_copy(update=changed)):
            with caplog.at_level(logging.WARNING):
                assert (await keys("tea 2"))[0] == "2"
            assert "boring memory reembed" in caplog.text
            with pytest.raises(ConfigurationError, match=rf"'{OLD}'.*boring memory reembed"):
                await keys("what is it")
            await MemoryStore().aput(ADA, "new", {"text": "a new kettle"})
            await MemoryStore().aput(ADA, "new", {"text": "a new kettle"})
            assert (await keys("kettle"))[0] == "new"
            assert len(await keys()) == 4
            await reembed("local")
            assert len(await keys("what is it")) == 4


async def test_a_model_that_gives_other_vectors_under_its_old_name_is_noticed(
    before: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened_process(before):
        await fill()
    async with (
        ScriptedModel(dimensions=32) as other,
        opened_process(before.model_copy(update={"embedding_base_url": other.base_url})),
    ):
        assert (await keys("tea 2"))[0] == "2"
        assert "in 64 dimensions, and it has 32 now" in caplog.text
        assert "boring memory reembed" in caplog.text
        assert await reembed("local") == 3
        assert len(await keys("sencha")) == 3


async def test_a_tenant_without_vectors_takes_the_new_model_at_once(
    before: Settings, after: Settings, postgres_url: str
) -> None:
    async with opened_process(before):
        await fill(1)
        await MemoryStore().adelete(ADA, "0")
    async with opened_process(after):
        await fill(1)
        assert await keys("green tea") == ["0"]
    assert await models(postgres_url) == [("another?query=query%3A+", None, 1)]


async def test_tenants_change_on_their_own(before: Settings, after: Settings, postgres_url: str) -> None:
    acme = MemoryStore(origin=Origin("acme", "ada"))
    async with opened_process(before):
        await fill()
        await acme.aput(ADA, "theirs", {"text": "green tea"})
    async with opened_process(after):
        assert await reembed("acme") == 1
        assert [item.key for item in await acme.asearch((), query="green tea")] == ["theirs"]
        assert (await keys("tea 2"))[0] == "2"
    assert [row[0] for row in await models(postgres_url)] == ["another?query=query%3A+", OLD]


async def served() -> str | None:
    async with as_tenant(await (await current_process()).database(), "local") as connection:
        model = await served_model(connection)
        return model and model.model


async def interrupted(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Embed anew by the settings' model, killed when searches have gone over to it."""

    async def killed(*_: object) -> None:
        if await served() == embedding_name(settings):
            raise asyncio.CancelledError

    with monkeypatch.context() as patched:
        patched.setattr(store_reembedding, "_promote", killed)
        with pytest.raises(asyncio.CancelledError):
            await reembed("local")


async def test_what_searches_have_gone_over_to_is_kept_while_a_third_model_embeds(
    before: Settings, after: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened_process(before):
        await fill(250)
    async with opened_process(after):
        await interrupted(after, monkeypatch)

    def half(*, done: int, total: int, what: str) -> None:
        raise RuntimeError(f"{done} of {total}: {what}")

    async with opened_process(before.model_copy(update={"embedding_model": "third"})):
        with pytest.raises(RuntimeError, match="100 of 250"):
            await reembed("local", half)
        found = await MemoryStore().asearch((), query="sencha", limit=300)
        assert len([one for one in found if one.score]) == 250


async def test_a_writer_of_before_does_not_bring_the_old_vectors_back(
    before: Settings, after: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened_process(before):
        await fill()
    async with opened_process(after):
        await interrupted(after, monkeypatch)
    async with opened_process(before):
        await MemoryStore().aput(ADA, "late", {"text": "a kettle"})
        assert await served() == embedding_name(after)
    async with opened_process(after):
        assert sorted(await keys("sencha")) == ["0", "1", "2", "late"]


async def changed(settings: Settings) -> None:
    async with opened_process(settings):
        await reembed("local")


@pytest.mark.parametrize("kind", ["put", "fact"])
async def test_what_was_embedded_before_the_change_and_is_stored_after_it_is_embedded_again(
    before: Settings, after: Settings, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    module = store if kind == "put" else facts
    original, times = module.embedded_for, list[int]()

    async def late(*given: Any) -> Any:
        made = await original(*given)
        if not times:
            times.append(1)
            await asyncio.to_thread(asyncio.run, changed(after))
        return made

    async with opened_process(before):
        await fill()
        monkeypatch.setattr(module, "embedded_for", late)
        if kind == "put":
            await MemoryStore().aput(ADA, "late", {"text": "a kettle"})
        else:
            await remember("a kettle", subject="late", origin=Origin("local", "ada"))
        assert await served() == embedding_name(after)
    async with opened_process(after):
        assert "late" in await keys("sencha")
        assert await reembed("local") == 0  # nothing is missing
