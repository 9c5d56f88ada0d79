"""Graphs of a user's own are found as `langgraph.json` names them: by module, by file, with a description."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from rich.console import Console

from app.graphs import graph_called, opened_graph
from app.session import opened_session
from core.errors import InputError
from core.process import opened_process
from core.settings import PROJECT_ROOT, Settings

SHOP = """
from langgraph.graph import START, StateGraph

def step(state: dict) -> dict:
    return {}

graph = StateGraph(dict).add_node("step", step).add_edge(START, "step").compile(name="shop")
other = 7
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "shop.py").write_text(SHOP)
    (tmp_path / "src" / "broken.py").write_text("import nothing_of_the_kind")
    (tmp_path / "src" / "typo.py").write_text("def")
    told = {"path": "./src/shop.py:graph", "description": "Sells."}
    graphs = {
        "shop": "./src/shop.py:graph",
        "told": told,
        "broken": "./src/broken.py:graph",
        "gone": "./no.py:x",
        "typo": "./src/typo.py:graph",
    }
    (tmp_path / "langgraph.json").write_text(json.dumps({"graphs": graphs}))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*sys.path])  # importing a file adds its folder
    return tmp_path


def settings(postgres_url: str, folder: Path) -> Settings:
    return Settings(database_url=SecretStr(postgres_url), data_dir=folder, cache_dir=folder)


@pytest.mark.parametrize("name", ["shop", "told", "src/shop.py:graph", "./src/shop.py"])
async def test_a_graph_in_a_file_is_opened(folder: Path, postgres_url: str, name: str) -> None:
    async with opened_process(settings(postgres_url, folder)):
        assert (await opened_graph(graph_called(name))).name == "shop"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("broken", "nothing_of_the_kind"),
        ("typo", "SyntaxError"),
        ("gone", r"no\.py"),
        ("src/shop.py:other", "is a int; expected a compiled graph"),
        ("src/shop.py:another", "has no attribute 'another'"),
        ("./nowhere:graph", "relative import"),
    ],
)
async def test_what_is_no_graph_is_refused_with_what_there_is(
    folder: Path, postgres_url: str, name: str, why: str
) -> None:
    async with opened_process(settings(postgres_url, folder)):
        with pytest.raises(InputError, match=why):
            await opened_graph(graph_called(name))


def test_files_are_named_from_the_folder_of_langgraph_json(folder: Path) -> None:
    assert graph_called("told").place == f"{folder / 'src' / 'shop.py'}:graph"
    assert graph_called("router").place.startswith("graphs")
    assert {"told", "router"} <= {*graph_called("nonsense").known}
    assert [graph_called(name).is_named for name in ("told", "router", "nonsense")] == [True, True, False]


def test_only_this_project_s_graphs_use_the_model_and_the_documents_of_the_settings(folder: Path) -> None:
    assert [graph_called(name).is_ours for name in (None, "single", "router")] == [True] * 3
    own = ("shop", "told", "src/shop.py", "shop.agent:graph")
    assert [graph_called(name).is_ours for name in own] == [False] * 4
    (folder / "langgraph.json").write_text('{"graphs": {"single": "./src/shop.py:graph"}}')
    assert not graph_called("single").is_reference
    assert graph_called(None).is_reference


@pytest.mark.parametrize("told", ["{", "[]", '{"graphs": null}', '{"graphs": ["shop"]}'])
def test_a_langgraph_json_that_can_not_be_read_is_told(folder: Path, told: str) -> None:
    (folder / "langgraph.json").write_text(told)
    with pytest.raises(InputError, match=r"langgraph\.json can't be read"):
        graph_called("shop")


async def test_each_langgraph_json_is_read_once_for_a_session(
    folder: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = list[Path]()
    whole = Path.read_text

    def noted(file: Path, *args: Any, **kwargs: Any) -> str:
        read.append(file)
        return whole(file, *args, **kwargs)

    monkeypatch.setattr(Path, "read_text", noted)
    monkeypatch.setattr("app.session.settings", lambda: settings(postgres_url, folder))
    async with opened_session(Console(quiet=True), as_json=True, graph="shop") as session:
        assert session.agent.name == "shop"
    read = [file for file in read if file.name == "langgraph.json"]
    assert sorted(read) == sorted([folder / "langgraph.json", PROJECT_ROOT / "langgraph.json"])
