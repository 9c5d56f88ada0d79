"""The knowledge base on a real Postgres, with embeddings behind real HTTP."""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from shutil import rmtree
from typing import Any

import pytest
from pydantic import SecretStr

from core.errors import ConfigurationError, InputError
from core.process import Process, opened_process
from core.settings import Settings
from evals.scripted_model import Reply, ScriptedModel, ToolCall
from graphs.single import create_single
from memory import document_writing
from memory.documents import DocumentStore, document_store
from memory.indexing import check_path, forget_path, index_path
from tests.unit.memory.pdfs import pdf

GUIDE = "# Guide\n\n## Ports\n\nThe server listens on port 2024.\n\n## Colours\n\nThe sky is blue.\n"


@pytest.fixture
async def store(postgres_url: str, tmp_path: Path) -> AsyncIterator[DocumentStore]:
    async with ScriptedModel() as model:
        settings = Settings(
            database_url=SecretStr(postgres_url), data_dir=tmp_path, embedding_base_url=model.base_url
        )
        async with opened_process(settings):
            yield await document_store()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "my documents"
    (folder / "deep").mkdir(parents=True)
    (folder / "guide.md").write_text(GUIDE)
    (folder / "deep" / "note.txt").write_text("The meeting is on Tuesday.")
    (folder / "picture.png").write_bytes(b"\x89PNG")
    (folder / ".hidden.md").write_text("secret")
    return folder


async def index(store: DocumentStore, folder: Path, tenant: str = "local") -> Any:
    return await index_path(store, folder, tenant=tenant, base=folder)


async def test_a_passage_is_found_with_its_source_and_section(store: DocumentStore, folder: Path) -> None:
    report = await index(store, folder)
    assert (report.added, report.passages, report.skipped) == (2, 3, ())
    found = await store.search("local", "Which port does the server listen on?", limit=1)
    assert found == [
        {
            "source": "guide.md",
            "section": "Guide > Ports",
            "text": "Guide > Ports\nThe server listens on port 2024.",
        }
    ]


async def test_unchanged_files_are_skipped_changed_ones_replaced_and_gone_ones_forgotten(
    store: DocumentStore, folder: Path
) -> None:
    await index(store, folder)
    assert (await index(store, folder)).unchanged == 2
    (folder / "guide.md").write_text(GUIDE.replace("2024", "8123"))
    (folder / "deep" / "note.txt").unlink()
    report = await index(store, folder)
    assert (report.added, report.unchanged, report.removed) == (1, 0, 1)
    texts = [passage["text"] for passage in await store.search("local", "port meeting Tuesday", limit=9)]
    assert any("8123" in text for text in texts)
    assert not any("2024" in text or "Tuesday" in text for text in texts)


async def test_one_file_of_a_folder_leaves_the_others(store: DocumentStore, folder: Path) -> None:
    await index(store, folder)
    report = await index_path(store, folder / "guide.md", tenant="local", base=folder)
    assert (report.unchanged, report.removed) == (1, 0)
    assert await store.count("local") == 2


async def test_a_tenant_sees_its_own_documents_only(store: DocumentStore, folder: Path) -> None:
    await index(store, folder, tenant="a")
    assert await store.search("b", "port", limit=5) == []
    assert await store.count("b") == 0
    await index(store, folder, tenant="b")
    await store.remove("a", "guide.md")
    assert [passage["source"] for passage in await store.search("b", "port", limit=1)] == ["guide.md"]


async def test_an_indexing_that_was_cut_off_is_completed(store: DocumentStore, folder: Path) -> None:
    await index(store, folder)
    async with store.database.pool.connection() as connection:
        await connection.execute("delete from boring.document")  # as after a kill between passages and row
    assert (await index(store, folder)).added == 2
    found = await store.search("local", "port", limit=9)
    assert len({passage["text"] for passage in found}) == len(found) == 3


async def test_a_document_is_replaced_all_at_once_or_not_at_all(
    store: DocumentStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await index(store, folder)
    (folder / "guide.md").write_text(GUIDE.replace("2024", "8123"))

    async def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(document_writing, "insert_document", killed)
        with pytest.raises(KeyboardInterrupt):
            await index(store, folder)
    (found,) = await store.search("local", "port", limit=1)
    assert "2024" in found["text"]
    assert (await index(store, folder)).added == 1
    (found,) = await store.search("local", "port", limit=1)
    assert "8123" in found["text"]


async def test_a_file_that_is_gone_after_its_indexing_was_cut_off_is_forgotten(
    store: DocumentStore, folder: Path
) -> None:
    await index_path(store, folder / "guide.md", tenant="local", base=folder)
    async with store.database.pool.connection() as connection:  # as versions of before have left it
        await connection.execute("update boring.document set content_hash = ''")
    assert await store.count("local") == 0
    (folder / "guide.md").unlink()
    report = await index(store, folder)
    assert (report.added, report.removed) == (1, 1)
    assert [one["source"] for one in await store.search("local", "port", limit=9)] == ["deep/note.txt"]


async def test_files_that_are_no_text_are_named_and_the_rest_is_indexed(
    store: DocumentStore, folder: Path
) -> None:
    (folder / "broken.md").write_bytes(b"\xff\xfe\x00")
    (folder / "nul.txt").write_bytes(b"a\0b")
    (folder / os.fsdecode(b"na\xffme.txt")).write_text("The name is none.")
    report = await index(store, folder)
    assert report.added == 2
    names = [line.split(":")[0] for line in report.skipped]
    assert names == ["broken.md", r"na\udcffme.txt", "nul.txt"]


@pytest.mark.parametrize(
    ("name", "told"),
    [("missing", "is not there.*--forget"), ("picture.png", "ends in '.png'"), ("empty", "holds no file")],
)
async def test_a_path_that_can_not_be_indexed_is_said_so(
    store: DocumentStore, folder: Path, name: str, told: str
) -> None:
    (folder / "empty").mkdir()
    with pytest.raises(InputError, match=told):
        await index(store, folder / name)


async def test_a_link_is_a_document_at_its_own_place(store: DocumentStore, folder: Path) -> None:
    (folder / "deep" / "again.md").symlink_to(folder / "guide.md")
    (folder / "more.md").symlink_to("guide.md")
    assert (await index(store, folder)).added == 4
    report = await index(store, folder)
    assert (report.added, report.unchanged, report.removed) == (0, 4, 0)
    names = {"guide.md", "more.md", "deep/again.md", "deep/note.txt"}
    assert set(await store.hashes("local", ".")) == names
    (folder / "more.md").unlink()
    report = await index(store, folder)
    assert (report.added, report.unchanged, report.removed) == (0, 3, 1)
    linked = folder.parent / "linked"
    linked.symlink_to(folder)
    assert (await index_path(store, linked, tenant="local", base=folder)).unchanged == 3
    report = await index_path(store, linked / "deep" / "again.md", tenant="local", base=folder)
    assert (report.unchanged, report.removed) == (1, 0)


async def test_a_link_out_of_the_folder_brings_nothing_in_and_is_told(
    store: DocumentStore, folder: Path
) -> None:
    outside = folder.parent / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_text("The safe opens with 1234.")
    (folder / "host.txt").symlink_to(outside / "secret.txt")
    (folder / "others").symlink_to(outside)
    (folder / "ring.md").symlink_to("ring.md")
    for added, unchanged in ((2, 0), (0, 2)):
        report = await index(store, folder)
        assert (report.added, report.unchanged) == (added, unchanged)
        assert [line.split(":")[0] for line in report.skipped] == ["host.txt", "others"]
        assert "links out of the folder" in report.skipped[0]
    assert set(await store.hashes("local", "/")) == set()
    # Named by itself, it is meant.
    report = await index_path(store, folder / "host.txt", tenant="local", base=folder)
    assert (report.added, report.removed) == (1, 0)
    assert "host.txt" in await store.hashes("local", ".")


async def test_a_folder_that_was_emptied_is_followed(store: DocumentStore, folder: Path) -> None:
    await index(store, folder)
    (folder / "guide.md").unlink()
    (folder / "deep" / "note.txt").unlink()
    report = await index(store, folder)
    assert (report.added, report.unchanged, report.removed) == (0, 0, 2)
    assert await store.count("local") == 0
    assert await store.search("local", "port", limit=5) == []
    with pytest.raises(InputError, match="holds no file"):
        await index(store, folder)


async def test_the_documents_of_a_path_that_is_gone_can_be_forgotten(
    store: DocumentStore, folder: Path
) -> None:
    for tenant in ("local", "acme"):
        await index_path(store, folder, tenant=tenant, base=folder)
    async with store.database.pool.connection() as connection:  # as after a kill between passages and row
        await connection.execute("delete from boring.document where source = 'deep/note.txt'")
    rmtree(folder / "deep")

    async def forgotten(path: Path) -> int:
        return await forget_path(store.database, path, tenant="local", base=folder)

    assert await forgotten(folder / "dee") == 0
    assert await forgotten(folder / "deep") == 1
    assert {found["source"] for found in await store.search("local", "Tuesday", limit=9)} == {"guide.md"}
    rmtree(folder)
    assert [await forgotten(folder), await forgotten(folder)] == [1, 0]
    assert await store.search("local", "port", limit=9) == []
    assert len(await store.search("acme", "port", limit=9)) == 3


@pytest.mark.parametrize("closed", [".", "deep/.."])
def test_a_folder_that_can_not_be_read_is_said_so(folder: Path, closed: str) -> None:
    folder.chmod(0)
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    try:
        with pytest.raises(InputError, match="can't be read by this user"):
            check_path(folder / closed)
    finally:
        if is_root:
            os.seteuid(0)
        folder.chmod(0o755)


async def test_an_agent_finds_and_cites(postgres_url: str, tmp_path: Path, folder: Path) -> None:
    script = [
        Reply(tool_calls=(ToolCall("search_documents", {"query": "server port"}),)),
        "The server listens on port 2024.",
    ]
    async with ScriptedModel(script) as model:
        settings = Settings(
            database_url=SecretStr(postgres_url),
            data_dir=tmp_path,
            openai_base_url=model.base_url,
            embedding_base_url=model.base_url,
        )
        async with opened_process(settings):
            await index(await document_store(), folder)
            result = await create_single().ainvoke({"messages": [("user", "Which port?")]})  # pyright: ignore[reportArgumentType]
        assert result["answer"]["sources"] == ["guide.md"]
        assert result["answer"]["text"].endswith("Sources: guide.md")
        assert (
            "[guide.md, Guide > Ports]\nThe server listens" in model.requests[-1]["messages"][-1]["content"]
        )


async def test_a_folder_of_all_kinds_is_indexed_and_what_can_not_be_read_is_said(
    store: DocumentStore, folder: Path
) -> None:
    (folder / "manual.pdf").write_bytes(pdf(["Cover", "", "The kettle boils at 96 degrees."]))
    (folder / "page.HTML").write_text("<h1>Tea</h1><p>Steep the oolong for three minutes.</p>")
    (folder / "locked.pdf").write_bytes(pdf(["secret"], locked_by="p"))
    report = await index(store, folder)
    assert report.added == 4
    assert report.skipped == ("locked.pdf: is encrypted; save it without its password",)
    (found,) = await store.search("local", "kettle boils degrees", limit=1)
    assert (found["source"], found["section"]) == ("manual.pdf", "page 3")
    (found,) = await store.search("local", "Steep the oolong", limit=1)
    assert (found["source"], found["section"]) == ("page.HTML", "Tea")
    (folder / "manual.pdf").unlink()
    again = await index(store, folder)
    assert (again.unchanged, again.removed, len(again.skipped)) == (3, 1, 1)


async def test_an_embedding_endpoint_that_is_gone_is_said_so(postgres_url: str, tmp_path: Path) -> None:
    settings = Settings(
        database_url=SecretStr(postgres_url), data_dir=tmp_path, embedding_base_url="http://127.0.0.1:9/v1"
    )
    async with opened_process(settings) as process:
        assert isinstance(process, Process)
        with pytest.raises(ConfigurationError, match="can't be reached"):
            await document_store()
