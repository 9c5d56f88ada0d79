"""What makes an agent of a team or a specialist: checks that are made when the graph is built."""

import re
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final, cast

from langgraph.pregel import Pregel

from core.errors import ConfigurationError
from core.state import AgentState
from graphs.checks import check_text, shown
from nodes.assignments import Delegate
from tools.declining import DECLINE

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_STEPS: Final = {"receive", "plan", "execute", "observe", "review", "respond", "nobody"}
_CHANNELS: Final = frozenset(AgentState.__annotations__)


def checked(delegates: Sequence[Delegate], *, of: str, tools: Collection[str] = ()) -> list[Delegate]:
    """Return the agents that work is handed to, after a look at their names, descriptions and graphs.

    Args:
        delegates: the agents.
        of: the place, for messages: such as `router 'desk'`.
        tools: names that the planner has for its own tools.

    Raises:
        ConfigurationError: two share a name, one has no description, a name can't be that of a node and of a
            tool, or a graph is none or keeps threads of its own.
    """
    if not delegates:
        raise ConfigurationError(f"{of} has nobody to hand work to. Name at least one.")
    names = [one.name for one in delegates]
    for number, one in enumerate(delegates, 1):
        place = f"{of}: worker {number}, {shown(one.name)},"
        _check_name(one.name, place, tools)
        if names.count(one.name) > 1:
            raise ConfigurationError(f"{place} shares its name with another worker. Give each its own.")
        check_text(one.description, of=place.rstrip(","), argument="description")
        if not one.description.strip():
            raise ConfigurationError(
                f"{place} has no description. Say what it is for: nobody would know when to ask it."
            )
        _check_graph(one.graph, place)
    _inside(delegates, of, known=set())
    return list(delegates)


def _check_name(name: object, place: str, tools: Collection[str]) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"{place} has a name that can't be a node's and a tool's. Use 1 to 64 letters a-z, digits, _ "
            "and -, a letter first."
        )
    if name in _STEPS:
        raise ConfigurationError(f"{place} has a name that the loop needs itself. Give it another one.")
    if name in _CHANNELS:
        raise ConfigurationError(f"{place} has the name of a part of the state. Give it another one.")
    if name == DECLINE:
        raise ConfigurationError(
            f"{place} has the name of the tool that hands a request back. Give it another one."
        )
    if name in tools:
        raise ConfigurationError(f"{place} shares its name with a tool. Give it another one.")


def _check_graph(graph: object, place: str) -> None:
    if not isinstance(graph, Pregel):
        advice = " Call its compile()." if hasattr(graph, "compile") else ""
        raise ConfigurationError(
            f"{place} has a {type(graph).__name__} as graph; expected a compiled graph.{advice}"
        )
    # LangGraph passes over a saver of a graph inside another one; with True all its tasks share a history,
    # and with False it asks the same question again for ever.
    keeper = cast("Pregel[Any, Any, Any, Any]", graph).checkpointer
    if keeper is not None:
        told = str(keeper) if isinstance(keeper, bool) else type(keeper).__name__
        raise ConfigurationError(
            f"{place} has a graph compiled with checkpointer={told}, but its state is kept by the one that "
            "leads it. Compile it without, and give the checkpointer to the outermost graph."
        )


def _inside(delegates: Iterable[Delegate], of: str, known: set[str]) -> None:
    """Refuse names that come up again further down: drawings and traces could not tell them apart."""
    for one in delegates:
        if one.name in known:
            raise ConfigurationError(
                f"{of}: the name {one.name!r} is used twice among its teams and theirs. Give each its own."
            )
        known.add(one.name)
        below: Iterable[tuple[str, Any]] = one.graph.get_subgraphs()
        _names_below(below, of, known)


def _names_below(below: Iterable[tuple[str, Any]], of: str, known: set[str]) -> None:
    for name, graph in below:
        if name in known:
            raise ConfigurationError(
                f"{of}: the name {name!r} is used twice among its teams and theirs. Give each its own."
            )
        known.add(name)
        _names_below(graph.get_subgraphs(), of, known)
