"""What makes an agent of a team or a specialist: checks that are made when the graph is built."""

import re
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

from langgraph.pregel import Pregel

from core.errors import ConfigurationError
from nodes.assignments import Delegate

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_TAKEN: Final = {"receive", "plan", "execute", "observe", "review", "respond", "answer", "nobody"}


def checked(delegates: Sequence[Delegate], *, of: str, tools: Collection[str] = ()) -> list[Delegate]:
    """Return the agents that work is handed to, after a look at their names and descriptions.

    Args:
        delegates: the agents.
        of: the place, for messages: such as `router 'desk'`.
        tools: names that the planner has for its own tools.

    Raises:
        ConfigurationError: two share a name, one has no description, or a name can't be that of a node.
    """
    if not delegates:
        raise ConfigurationError(f"{of} has nobody to hand work to. Name at least one.")
    names = [one.name for one in delegates]
    for number, one in enumerate(delegates, 1):
        place = f"{of}: worker {number}, {one.name!r},"
        if not _NAME.fullmatch(one.name):
            raise ConfigurationError(
                f"{place} has a name that can't be a node's. Use letters, digits, _ and -, a letter first."
            )
        if one.name in _TAKEN:
            raise ConfigurationError(f"{place} has the name of a step of the loop. Give it another one.")
        if names.count(one.name) > 1:
            raise ConfigurationError(f"{place} shares its name with another worker. Give each its own.")
        if one.name in tools:
            raise ConfigurationError(f"{place} shares its name with a tool. Give it another one.")
        if not one.description.strip():
            raise ConfigurationError(
                f"{place} has no description. Say what it is for: nobody would know when to ask it."
            )
        if not isinstance(one.graph, Pregel):  # pyright: ignore[reportUnnecessaryIsInstance] - callers without a type checker
            raise ConfigurationError(
                f"{place} has a {type(one.graph).__name__} as graph; expected a compiled graph."
            )
    _inside(delegates, of, known=set())
    return list(delegates)


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
