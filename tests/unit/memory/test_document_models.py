"""Documents under a new embedding model: the old vectors serve until the new ones are all there."""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from psycopg import AsyncConnection
from pydantic import SecretStr

from core.errors import ConfigurationError
from core.process import opened_process
from core.settings import Settings
from evals.scripted_model import ScriptedModel
from memory import document_reembedding, documents
from memory.chunks import Chunk
from memory.document_reembedding import reembed_documents
from memory.document_tables import passages_in
from memory.documents import document_store, forget_documents
from memory.indexing import IndexReport, index_path

OLD, NEW = "text-embedding-3-small", "another?query=query%3A+"
KEEP = """
create table kept as select * from boring.document where source = 'green.md';
create table passages as select * from boring.chunk_text_embedding_3_small where source = 'green.md'
"""
BRING_BACK = """
delete from boring.document where source = 'green.md' and embedding_model = 'text-embedding-3-small';
delete from boring.chunk_text_embedding_3_small where source = 'green.md';
insert into boring.document select * from kept;
insert into boring.chunk_text_embedding_3_small (langchain_id, content, embedding, tenant, source, section)
    select langchain_id, content, embedding, tenant, source, section from passages
"""
ALL = {"green.md", "black.md", "white.md"}


@pytest.fixture
async def model() -> AsyncIterator[ScriptedModel]:
    async with ScriptedModel(dimensions=64) as model:
        yield model


@pytest.fixture
def before(postgres_url: str, tmp_path: Path, model: ScriptedModel) -> Settings:
    return Settings(
        database_url=SecretStr(postgres_url), data_dir=tmp_path, embedding_base_url=model.base_url
    )


@pytest.fixture
def after(before: Settings) -> Settings:
    return before.model_copy(update={"embedding_model": "another", "embedding_query_prefix": "query: "})


@pytest.fixture
async def alone(before: Settings) -> AsyncIterator[Settings]:
    """Settings of a new model at whose endpoint the old one is not."""
    async with ScriptedModel(dimensions=32, models=["another"]) as other:
        yield before.model_copy(update={"embedding_model": "another", "embedding_base_url": other.base_url})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "teas"
    folder.mkdir()
    for name in ALL:
        (folder / name).write_text(f"The {name.removesuffix('.md')} tea steeps for three minutes.")
    return folder


async def index(path: Path, tenant: str = "local") -> IndexReport:
    base = path.parent if path.suffix else path
    return await index_path(await document_store(), path, tenant=tenant, base=base)


async def found(question: str = "which tea steeps", tenant: str = "local") -> dict[str, str]:
    passages = await (await document_store()).search(tenant, question, limit=9)
    return {one["source"]: one["text"] for one in passages}


async def rows(url: str, statement: str) -> list[Any]:
    async with await AsyncConnection.connect(url, autocommit=True) as connection:
        cursor = await connection.execute(statement.encode())
        return await cursor.fetchall() if cursor.description else []


async def held(url: str) -> list[Any]:
    return await rows(url, "select embedding_model, count(*) from boring.document group by 1 order by 1 desc")


def asked_models(model: ScriptedModel) -> set[str]:
    return {request["model"] for request in model.embedding_requests}


async def test_the_old_vectors_serve_until_no_document_is_missing(
    before: Settings, after: Settings, model: ScriptedModel, folder: Path, postgres_url: str
) -> None:
    async with opened_process(before):
        await index(folder)
    async with opened_process(after):
        await index(folder / "green.md")
        assert await held(postgres_url) == [(OLD, 3), (NEW, 1)]
        model.embedding_requests.clear()
        assert set(await found()) == ALL
        assert asked_models(model) == {OLD}
        assert await reembed_documents("local") == 2
        assert await held(postgres_url) == [(NEW, 3)]
        assert await rows(postgres_url, "select source from boring.chunk_text_embedding_3_small") == []
        model.embedding_requests.clear()
        assert set(await found()) == ALL
        assert asked_models(model) == {"another"}
        assert await reembed_documents("local") == 0


async def test_what_changes_meanwhile_is_searched_as_it_is(
    before: Settings, after: Settings, folder: Path, postgres_url: str
) -> None:
    async with opened_process(before):
        await index(folder)
    async with opened_process(after):
        (folder / "green.md").write_text("The green tea steeps for nine minutes.")
        await index(folder / "green.md")
        (folder / "oolong.txt").write_text("The oolong tea steeps for long.")
        await index(folder / "oolong.txt")
        await (await document_store()).remove("local", "black.md")
        texts = await found()
        assert set(texts) == {"green.md", "white.md", "oolong.txt"}
        assert "nine" in texts["green.md"]
        assert await held(postgres_url) == [(OLD, 3), (NEW, 2)]


async def test_an_indexing_after_which_none_is_missing_ends_it(
    before: Settings, after: Settings, folder: Path, postgres_url: str
) -> None:
    async with opened_process(before):
        await index(folder)
    async with opened_process(after):
        (folder / "black.md").unlink()
        report = await index(folder)
        assert (report.added, report.removed) == (2, 1)
        assert await held(postgres_url) == [(NEW, 2)]
        assert set(await found()) == ALL - {"black.md"}
        assert (await index(folder)).unchanged == 2


async def test_killed_in_the_middle_it_goes_on_where_it_was(
    before: Settings, after: Settings, folder: Path, model: ScriptedModel
) -> None:
    async with opened_process(before):
        await index(folder)

    def kill(*, done: int, total: int, what: str) -> None:
        assert (total, "local" in what) == (3, True)
        if done == 2:
            raise KeyboardInterrupt

    async with opened_process(after):
        with pytest.raises(KeyboardInterrupt):
            await reembed_documents("local", kill)
        assert set(await found()) == ALL
    model.embedding_requests.clear()
    async with opened_process(after):
        assert await reembed_documents("local") == 1
        assert len(model.embedding_requests) == 2  # the size, and one document


async def test_without_the_old_model_words_serve_and_the_command_is_named(
    before: Settings, alone: Settings, folder: Path, postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened_process(before):
        await index(folder)
    async with opened_process(alone):
        with caplog.at_level(logging.WARNING):
            assert set(await found("green")) == {"green.md"}
        assert caplog.text.count("boring memory reembed") == 1
        with pytest.raises(ConfigurationError, match=rf"'{OLD}'.*boring memory reembed --tenant local"):
            await found("what is it")
        (folder / "green.md").write_text("The green tea steeps for nine minutes.")
        await index(folder / "green.md")
        assert await held(postgres_url) == [(OLD, 2), ("another", 1)]
        texts = await found("tea")
        assert set(texts) == ALL
        assert "nine" in texts["green.md"]
        assert await reembed_documents("local") == 2
        assert set(await found("what is it")) == ALL


@pytest.mark.parametrize("name", ["another", "zeta"])
async def test_contents_of_which_newer_ones_are_in_another_table_are_not_found(
    before: Settings, name: str, folder: Path, postgres_url: str
) -> None:
    async with opened_process(before):
        await index(folder)
    async with opened_process(
        before.model_copy(update={"embedding_model": name})
    ):  # as versions of before have left it, which wrote one table only
        (folder / "green.md").write_text("The green tea steeps for nine minutes.")
        await rows(postgres_url, KEEP)
        await index(folder / "green.md")
        await rows(postgres_url, BRING_BACK)
        texts = await found("tea")
        assert set(texts) == ALL
        assert "nine" in texts["green.md"]
        assert (await index(folder / "green.md")).added == 1
        assert "nine" in (await found())["green.md"]


async def test_documents_of_before_get_the_name_of_their_model_where_it_is_known(
    before: Settings, after: Settings, folder: Path, postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened_process(before):
        await index(folder)
    await rows(postgres_url, "update boring.document set embedding_model = null")
    async with opened_process(after):
        assert set(await found("what is it")) == ALL
    assert await held(postgres_url) == [(OLD, 3)]
    unknown = "update boring.document set embedding_model = null, chunk_table = 'chunk_gone_model';"
    await rows(
        postgres_url, unknown + "alter table boring.chunk_text_embedding_3_small rename to chunk_gone_model"
    )
    async with opened_process(after):
        with caplog.at_level(logging.WARNING):
            assert set(await found("green")) == {"green.md"}
        assert "an unknown model (chunk_gone_model)" in caplog.text
        assert await reembed_documents("local") == 3
        assert set(await found("what is it")) == ALL


async def test_a_model_that_makes_other_vectors_under_its_old_name_is_noticed(
    before: Settings, folder: Path, postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened_process(before):
        await index(folder)
    async with (
        ScriptedModel(dimensions=32) as other,
        opened_process(before.model_copy(update={"embedding_base_url": other.base_url})),
    ):
        with caplog.at_level(logging.WARNING):
            assert set(await found("green")) == {"green.md"}
        assert "boring memory reembed" in caplog.text
        (folder / "green.md").write_text("The green tea steeps for nine minutes.")
        await index(folder / "green.md")
        texts = await found("tea")
        assert set(texts) == ALL
        assert "nine" in texts["green.md"]
        assert await reembed_documents("local") == 2
        assert set(await found("what is it")) == ALL
        assert await held(postgres_url) == [(OLD, 3)]


async def test_tenants_change_on_their_own(
    before: Settings, after: Settings, folder: Path, model: ScriptedModel
) -> None:
    async with opened_process(before):
        await index(folder)
        await index(folder / "green.md", tenant="acme")
    async with opened_process(after):
        assert await reembed_documents("acme") == 1
        model.embedding_requests.clear()
        assert set(await found(tenant="acme")) == {"green.md"}
        assert asked_models(model) == {"another"}
        assert set(await found()) == ALL
        assert asked_models(model) == {"another", OLD}


async def test_a_search_during_which_the_new_model_takes_over_finds_all(
    before: Settings, after: Settings, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened_process(before):
        await index(folder)
    kept = documents.question_by

    async def later(*arguments: Any) -> Any:
        vector = await kept(*arguments)
        assert await reembed_documents("local") == 3
        return vector

    async with opened_process(after):
        monkeypatch.setattr(documents, "question_by", later)
        assert set(await found()) == ALL


async def test_a_process_that_goes_on_with_the_old_model_takes_nothing_away(
    before: Settings, after: Settings, folder: Path, postgres_url: str
) -> None:
    async with opened_process(before):
        await index(folder)
        async with opened_process(after):
            await reembed_documents("local")
        (folder / "oolong.txt").write_text("The oolong tea steeps for long.")
        await index(folder / "oolong.txt")
        assert await held(postgres_url) == [(OLD, 1), (NEW, 4)]
        assert set(await found()) == ALL | {"oolong.txt"}
        async with opened_process(after):
            assert set(await found()) == ALL | {"oolong.txt"}
            assert (await index(folder)).unchanged == 4
            assert await held(postgres_url) == [(NEW, 4)]


async def test_searches_and_writers_succeed_at_every_moment(before: Settings, after: Settings) -> None:
    async with opened_process(before):
        store = await document_store()
        for number in range(60):
            await store.put("local", f"{number}.md", "h", [Chunk("", f"tea number{number} steeps")])
    async with opened_process(after):
        store = await document_store()
        embedding = asyncio.create_task(reembed_documents("local"))
        number = 0
        while not embedding.done():
            number += 1
            await store.put("local", "new.md", f"h{number}", [Chunk("", f"kettle version{number}")])
            passages = await store.search("local", "kettle version", limit=99)
            assert len(passages) == 61
            assert [one["text"] for one in passages if one["source"] == "new.md"] == [
                f"kettle version{number}"
            ]
        assert await embedding >= 60
        assert len(await store.search("local", "kettle", limit=99)) == 61


async def test_two_at_once_embed_each_document_once(
    before: Settings, after: Settings, folder: Path, model: ScriptedModel, postgres_url: str
) -> None:
    async with opened_process(before):
        await index(folder)
    async with opened_process(after):
        model.embedding_requests.clear()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(2):
                tasks.create_task(reembed_documents("local"))
            tasks.create_task(index(folder))
        texts = [str(request["input"]) for request in model.embedding_requests]
        assert len([text for text in texts if "tea steeps" in text]) == 3
        assert await held(postgres_url) == [(NEW, 3)]
        assert set(await found()) == ALL


async def test_what_is_forgotten_while_it_is_embedded_stays_forgotten(
    before: Settings, after: Settings, folder: Path, monkeypatch: pytest.MonkeyPatch, postgres_url: str
) -> None:
    async with opened_process(before):
        await index(folder)
    async with opened_process(after):
        store = await document_store()
        kept = document_reembedding.embedded_into

        async def forgotten_meanwhile(*arguments: Any) -> Any:
            vectors = await kept(*arguments)
            await forget_documents(store.database, "local", "black.md")
            return vectors

        monkeypatch.setattr(document_reembedding, "embedded_into", forgotten_meanwhile)
        assert await reembed_documents("local") == 2
        assert set(await found()) == ALL - {"black.md"}
        assert await held(postgres_url) == [(NEW, 2)]
        async with store.database.pool.connection() as connection:
            assert await passages_in(connection, store.table, "local", "black.md") == []


async def test_of_two_contents_at_once_the_later_one_is_there_as_a_whole(
    before: Settings, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened_process(before):
        store = await document_store()
        begun, go_on = asyncio.Event(), asyncio.Event()
        kept = type(store.embeddings).aembed_documents

        async def slow(self: Any, texts: list[str]) -> list[list[float]]:
            if "old" in texts[0]:
                begun.set()
                await go_on.wait()
            return await kept(self, texts)

        monkeypatch.setattr(type(store.embeddings), "aembed_documents", slow)
        first = asyncio.create_task(store.put("local", "a.md", "h1", [Chunk("", "old price")] * 3))
        await begun.wait()
        second = asyncio.create_task(store.put("local", "a.md", "h2", [Chunk("", "new price")] * 2))
        go_on.set()
        await first
        await second
        texts = [one["text"] for one in await store.search("local", "price", limit=9)]
        assert texts == ["new price"] * 2
        assert await rows(postgres_url, "select content_hash, chunks from boring.document") == [("h2", 2)]
        locks = "select objid from pg_locks where locktype = 'advisory'"
        assert await rows(postgres_url, locks) == []
