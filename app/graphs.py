"""Which agent a command runs: the reference agent, or a graph of the user's own."""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import importlib.util
import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Final

from core.errors import InputError
from core.process import current_process
from core.settings import PROJECT_ROOT

if TYPE_CHECKING:
    from graphs.single import Agent
    from tools.contract import Tool

_UNNAMED: Final = "LangGraph"
"""What LangGraph calls a graph without a name; its server then calls it as `langgraph.json` does."""


@dataclass(frozen=True, slots=True)
class GraphPlace:
    """A graph that was asked for, and where it is.

    Attributes:
        name: as it was asked for; None for the reference agent.
        place: a module or a file and the graph in it, such as `shop.agent:graph`.
        is_named: `langgraph.json` gives a graph this name.
        is_ours: it is this project's: those use the model and the documents of the settings.
        known: the names that `langgraph.json` gives graphs.
    """

    name: str | None
    place: str
    is_named: bool
    is_ours: bool
    known: Sequence[str]

    @property
    def is_reference(self) -> bool:
        """Whether it is the reference agent, by whichever name."""
        return self.name is None or (self.name == "single" and self.is_ours)


def graph_called(name: str | None) -> GraphPlace:
    """Return where a graph is, as far as `langgraph.json` tells; this reads its file.

    Args:
        name: one that `langgraph.json` gives a graph, in the current folder or in this project, such as
            `router`; or a module or a file and its graph, `shop.agent:graph`, `./shop.py:graph`. None names
            the reference agent.

    Raises:
        InputError: a `langgraph.json` can't be read.
    """
    if name is None:
        return GraphPlace(None, "", is_named=False, is_ours=True, known=())
    ours = _named_in(PROJECT_ROOT)
    named = ours | (_named_in(Path.cwd()) if Path.cwd() != PROJECT_ROOT else {})
    return GraphPlace(
        name,
        named.get(name, name),
        is_named=name in named,
        is_ours=named.get(name) in ours.values(),
        known=sorted(named),
    )


def asked_for_as(recorded: str) -> str | None:
    """Return what `graph_called` knows a graph by, given the name of its runs; None where it is not here.

    A graph that `langgraph.json` names may call itself otherwise. So the ones that it names are imported;
    those that can't be are not the one.
    """
    if graph_called(recorded).is_named or ":" in recorded:
        return recorded
    for name in _named_in(Path.cwd()):
        with suppress(InputError):
            if _imported(graph_called(name)).name == recorded:
                return name
    return None


async def opened_graph(one: GraphPlace) -> Agent:
    """Return a graph with the Postgres checkpointer; the reference agent has MCP tools.

    Modules are looked for in the current folder too.

    Raises:
        InputError: there is no such graph, or it can't be asked.
    """
    from graphs.recorded import recorded  # noqa: PLC0415 - loaded with the session
    from memory.checkpoints import postgres_checkpointer  # noqa: PLC0415 - as above

    saver = await postgres_checkpointer()
    if one.is_reference:
        from graphs.single import create_single  # noqa: PLC0415 - loaded with the session

        return create_single(saver, tools=await _tools_of_mcp_servers())
    graph = recorded(await asyncio.to_thread(_imported, one))
    named = {"name": one.name} if graph.name == _UNNAMED else {}
    return graph.copy(update={"checkpointer": saver, **named})


async def _tools_of_mcp_servers() -> list[Tool]:
    if (await current_process()).settings.mcp is None:
        return []
    from tools.mcp.tools import mcp_tools  # noqa: PLC0415 - takes time, and is needed only where servers are named

    return await mcp_tools()


def _named_in(folder: Path) -> dict[str, str]:
    """Return the graphs that `langgraph.json` of a folder names; a file is named from there."""
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


def _imported(one: GraphPlace) -> Agent:
    from langgraph.graph.state import CompiledStateGraph  # noqa: PLC0415 - loaded with the session

    from graphs.ends import can_be_asked  # noqa: PLC0415 - as above

    name, given = one.name, one.place
    module_name, _, attribute = given.rpartition(":") if ":" in given else (given, "", "")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    try:
        module = _module_of(Path(module_name)) if _is_file(given) else importlib.import_module(module_name)
        graph = getattr(module, attribute or "graph")
    except Exception as error:  # whatever the module of a user raises
        known = ", ".join(one.known)
        raise InputError(
            f"There is no graph {name!r}: {type(error).__name__}: {error}. Name one of {known},"
            " or a module or a file and its compiled graph, such as shop.agent:graph or ./shop.py:graph."
        ) from error
    if not isinstance(graph, CompiledStateGraph):
        raise InputError(f"{name!r} is a {type(graph).__name__}; expected a compiled graph.")
    if not can_be_asked(graph):
        has = ", ".join(one for one in graph.channels if ":" not in one and not one.startswith("__"))
        has = has or "one value that is no dict"
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
