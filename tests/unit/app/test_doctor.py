"""What `boring doctor` says of the long-term store, run as an operator runs it."""

import json
from pathlib import Path

import pytest

from app.stores import described_store
from core.errors import ConfigurationError
from evals.scripted_model import ScriptedModel
from memory.vector_backends import LACKS
from tests.commands import boring, environment

VECTORS = """
from contextlib import asynccontextmanager
from pathlib import Path

from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.vectorstores import InMemoryVectorStore
from langgraph.store.memory import InMemoryStore
from memory.vector_store import store_on

store = store_on(InMemoryVectorStore(DeterministicFakeEmbedding(size=8)))
other = InMemoryStore()
nothing = 7


@asynccontextmanager
async def opened():
    yield store
    Path(__file__).with_name("closed").touch()


async def awaited():
    return store


async def unreachable():
    raise OSError("no route to host")
"""


def configured(folder: Path, name: str | None) -> Path:
    (folder / "my_store.py").write_text(VECTORS)
    file = folder / "langgraph.json"
    store = {"store": {"path": f"./my_store.py:{name}"}} if name else {}
    file.write_text(json.dumps({"graphs": {"single": "graphs.single:graph"}, **store}))
    return file


async def test_doctor_says_which_store_the_server_uses_and_what_it_lacks(
    postgres_url: str, tmp_path: Path
) -> None:
    async with ScriptedModel(dimensions=8) as model:
        env = environment(
            tmp_path,
            postgres_url,
            OPENAI_BASE_URL=model.base_url,
            BORING_MODEL="scripted",
            BORING_EMBEDDING_BASE_URL=model.base_url,
        )
        for name, status, told in [
            (None, "ok", ["on Postgres: transactions, row-level security"]),
            ("store", "ok", [*LACKS, "gone with the process"]),
            ("unreachable", "fails", ["OSError: no route to host"]),
        ]:
            words = ("--config", str(configured(tmp_path, name))) if name else ()
            ended = await boring("doctor", "--json", *words, env=env)
            checks = {check["name"]: check for check in json.loads(ended.out)}
            check = checks["long-term store"]
            assert check["status"] == status
            assert [part for part in told if part not in check["found"] + check["advice"]] == []
            assert (ended.code == 4) == any(one["status"] == "fails" for one in checks.values())


HOSTILE, SHOWN = "\x1b[2J\x9b\u202e\nok     forged", r"\u001b[2J\u009b\u202e\nok     forged"


async def test_doctor_shows_what_the_settings_hold_as_codes_and_in_a_line(
    postgres_url: str, tmp_path: Path
) -> None:
    async with ScriptedModel(dimensions=8) as model:
        local = {"BORING_MODEL_PATH": f"/{HOSTILE}", "BORING_CACHE_DIR": str(tmp_path / HOSTILE)}
        named = {"BORING_MODEL": HOSTILE, "BORING_EMBEDDING_MODEL": HOSTILE}
        login = model.base_url.replace("//", "//me:hunter22@")
        for held, times in ((local, 2), ({**named, "OPENAI_BASE_URL": login}, 2)):
            env = environment(tmp_path, postgres_url, COLUMNS="500", **held)
            config = str(tmp_path / HOSTILE / "langgraph.json")
            ended = await boring("doctor", "--config", config, env=env)
            assert ended.out.count(SHOWN) == times + 1, ended
            assert not set(HOSTILE) & set(ended.out) - set("[2J\nok forged")
            assert [line for line in ended.out.splitlines() if line.strip().startswith("ok     forged")] == []
            assert "hunter22" not in ended.out


async def test_a_store_is_opened_as_the_server_opens_it_and_closed_again(tmp_path: Path) -> None:
    for name in ("store", "opened", "awaited"):
        assert (await described_store(configured(tmp_path, name))).startswith("langchain-core in memory, by ")
    assert (tmp_path / "closed").exists()


async def test_of_a_store_of_another_kind_nothing_is_promised(tmp_path: Path) -> None:
    told = await described_store(configured(tmp_path, "other"))
    assert "InMemoryStore" in told
    assert "nothing is known" in told
    assert "the server's own" in await described_store(configured(tmp_path, None))
    assert "there is no" in await described_store(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("name", "why"), [("nothing", "expected a BaseStore"), ("missing", "AttributeError"), ("a.b", "a.b")]
)
async def test_what_is_no_store_is_told_with_its_place(name: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=why) as told:
        await described_store(configured(tmp_path, name))
    assert str(tmp_path / "langgraph.json") in str(told.value)
