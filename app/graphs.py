"""Which agent a command runs: the reference agent, or a graph of the user's own."""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from core.errors import InputError
from core.process import current_process
from core.settings import PROJECT_ROOT

if TYPE_CHECKING:
    from graphs.single import Agent
    from tools.contract import Tool


async def opened_graph(name: str | None) -> Agent:
    """Return a graph with the Postgres checkpointer, None naming the reference agent with MCP tools.

    Args:
        name: one that `langgraph.json` gives a graph, in the current folder or in this project, such as
            `router`; or a module or a file and its graph, `shop.agent:graph`, `./shop.py:graph`. Modules are
            looked for in the current folder too.

    Raises:
        InputError: there is no such graph.
    """
    from memory.checkpoints import postgres_checkpointer  # noqa: PLC0415 - loaded with the session

    saver = await postgres_checkpointer()
    if name is None or (name == "single" and await asyncio.to_thread(is_ours, name)):
        from graphs.single import create_single  # noqa: PLC0415 - loaded with the session

        return create_single(saver, tools=await _tools_of_mcp_servers())
    graph = await asyncio.to_thread(_imported, str(name))
    return graph.copy(update={"checkpointer": saver})


async def _tools_of_mcp_servers() -> list[Tool]:
    if (await current_process()).settings.mcp is None:
        return []
    from tools.mcp.tools import mcp_tools  # noqa: PLC0415 - takes time, and is needed only where servers are named

    return await mcp_tools()


def named_graphs() -> dict[str, str]:
    """Return the graphs that `langgraph.json` names: this project's, and those of the current folder.

    A file is returned with its whole path; it is named from the folder of `langgraph.json`.

    Raises:
        InputError: a `langgraph.json` can't be read.
    """
    return _named_in(PROJECT_ROOT) | _named_in(Path.cwd())


def is_ours(name: str | None) -> bool:
    """Tell whether a graph is this project's: those use the model and the documents of the settings."""
    return name is None or named_graphs().get(name) in _named_in(PROJECT_ROOT).values()


def _named_in(folder: Path) -> dict[str, str]:
    file = folder / "langgraph.json"
    if not file.is_file():
        return {}
    try:
        graphs = json.loads(file.read_text(encoding="utf-8")).get("graphs", {}).items()
    except (ValueError, AttributeError) as error:
        raise InputError(
            f"{file} can't be read ({error}). Expected an object whose `graphs` is an object of names and"
            ' places, such as {"graphs": {"shop": "./shop.py:graph"}}.'
        ) from error
    places = {name: told.get("path") if isinstance(told, dict) else told for name, told in graphs}
    texts = {name: place for name, place in places.items() if isinstance(place, str)}
    return {name: str(folder / place) if _is_file(place) else place for name, place in texts.items()}


def _is_file(given: str) -> bool:
    return given.partition(":")[0].endswith(".py")


def _imported(name: str) -> Agent:
    from langgraph.graph.state import CompiledStateGraph  # noqa: PLC0415 - loaded with the session

    given = named_graphs().get(name, name)
    module_name, _, attribute = given.rpartition(":") if ":" in given else (given, "", "")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    try:
        module = _module_of(Path(module_name)) if _is_file(given) else importlib.import_module(module_name)
        graph = getattr(module, attribute or "graph")
    except Exception as error:  # whatever the module of a user raises
        known = ", ".join(sorted(named_graphs()))
        raise InputError(
            f"There is no graph {name!r}: {type(error).__name__}: {error}. Name one of {known}, or a module"
            " or a file and its compiled graph, such as shop.agent:graph or ./shop.py:graph."
        ) from error
    if not isinstance(graph, CompiledStateGraph):
        raise InputError(f"{name!r} is a {type(graph).__name__}; expected a compiled graph.")
    if not {"messages", "__root__"} & set(graph.channels):
        has = ", ".join(one for one in graph.channels if ":" not in one and not one.startswith("__"))
        raise InputError(
            f"{name!r} can't be asked: its state has no `messages`, in which a question is handed to it. It"
            f" has {has}. Give its state `messages`, as langgraph.graph.MessagesState has them."
        )
    return graph  # pyright: ignore[reportUnknownVariableType] - its state is known by its name only


def _module_of(file: Path) -> ModuleType:
    """Import a file once, as the module that its place makes it."""
    whole = file.resolve()
    name = f"{whole.stem}_{hashlib.blake2b(str(whole).encode(), digest_size=6).hexdigest()}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, whole)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} can't be imported")
    if str(whole.parent) not in sys.path:
        sys.path.append(str(whole.parent))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
