"""What makes an agent of a team or a specialist: checks that are made when the graph is built.

What is given may be anything, so it is looked at as an `object`, whatever the annotations of the callers say.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar, cast

from langchain_core.language_models import BaseChatModel
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.pregel import Pregel
from langgraph.store.base import BaseStore

from core.errors import ConfigurationError
from core.state import AgentState
from core.text import storable_text
from nodes.assignments import Delegate
from tools.declining import DECLINE

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_MAX_GRAPH_NAME_CHARS: Final = 100
_MAX_SHOWN_CHARS: Final = 60
_STEPS: Final = {"receive", "plan", "execute", "observe", "review", "respond", "nobody"}
_CHANNELS: Final = frozenset(AgentState.__annotations__)
_T = TypeVar("_T")


def members(given: object, kind: type[_T], *, of: str, argument: str) -> list[_T]:
    """Return the members of a sequence.

    Args:
        given: what was given.
        kind: of each member.
        of: the place, for messages: such as `router 'desk'`.
        argument: its name there.

    Raises:
        ConfigurationError: it is no sequence, or a member is something else.
    """
    wanted = "" if kind is object else f" of {kind.__name__}"
    if not isinstance(given, Sequence) or isinstance(given, (str, bytes)):
        raise ConfigurationError(
            f"{of}: {argument} is {_shown(given)}; expected a list{wanted}, such as [...]."
        )
    found = cast("Sequence[object]", given)
    for number, one in enumerate(found, 1):
        if not isinstance(one, kind):  # pyright: ignore[reportUnnecessaryIsInstance] - a kind is narrower than object
            raise ConfigurationError(
                f"{of}: {argument}, number {number}, is {_shown(one)}; expected a {kind.__name__}."
            )
    return list(cast("Sequence[_T]", found))


def check_text(given: object, *, of: str, argument: str) -> None:
    """Refuse what is no text, or can't be sent or stored.

    Raises:
        ConfigurationError: it is not.
    """
    if not isinstance(given, str):
        raise ConfigurationError(f"{of}: {argument} is {_shown(given)}; expected a text.")
    if storable_text(given) != given:
        raise ConfigurationError(
            f"{of}: {argument} holds a NUL or half a character, which can't be stored. Leave it out."
        )


def graph_place(kind: str, name: object) -> str:
    """Return the place that messages name, after a look at the name of a graph.

    Args:
        kind: such as `router`.
        name: of the graph, which its runs are recorded under.

    Raises:
        ConfigurationError: it is no name.
    """
    check_text(name, of=kind, argument="name")
    text = str(name)
    if not text.strip() or not text.isprintable() or len(text) > _MAX_GRAPH_NAME_CHARS:
        raise ConfigurationError(
            f"{kind}: name is {_shown(name)}; expected 1 to {_MAX_GRAPH_NAME_CHARS} characters in one line."
        )
    return f"{kind} {text!r}"


def check_surroundings(
    of: str, *, llm: object, fallbacks: object, checkpointer: object, store: object
) -> None:
    """Refuse models, a checkpointer or a store that are none.

    Raises:
        ConfigurationError: one is something else.
    """
    if llm is not None:
        _check_model(llm, of=of, argument="llm")
    if fallbacks is not None:
        for number, one in enumerate(members(fallbacks, object, of=of, argument="fallbacks"), 1):
            _check_model(one, of=of, argument=f"fallbacks, number {number},")
    if checkpointer is not None and not isinstance(checkpointer, BaseCheckpointSaver):
        raise ConfigurationError(
            f"{of}: checkpointer is {_shown(checkpointer)}; expected a BaseCheckpointSaver such as "
            "`await postgres_checkpointer()`, or None."
        )
    if store is not None and not isinstance(store, BaseStore):
        raise ConfigurationError(f"{of}: store is {_shown(store)}; expected a BaseStore, or None.")


def check_roles(of: str, roles: object) -> None:
    """Refuse a directory of roles that is none.

    Raises:
        ConfigurationError: it is no mapping of names to people.
    """
    if roles is None:
        return
    if not isinstance(roles, Mapping):
        raise ConfigurationError(
            f"{of}: roles is {_shown(roles)}; expected a mapping such as {{'manager': ['ann']}}."
        )
    for role, people in cast("Mapping[object, object]", roles).items():
        if not isinstance(people, Collection):
            raise ConfigurationError(
                f"{of}: the role {_shown(role)} is given to {_shown(people)}; expected a list of names."
            )


def _check_model(given: object, *, of: str, argument: str) -> None:
    if isinstance(given, str):
        check_text(given, of=of, argument=argument)
    named = isinstance(given, str) and given.strip()
    if not (named or isinstance(given, BaseChatModel) or callable(given)):
        raise ConfigurationError(
            f"{of}: {argument} is {_shown(given)}; expected a chat model, a source of one, or the name of a "
            "model."
        )


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
        place = f"{of}: worker {number}, {_shown(one.name)},"
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
        raise ConfigurationError(f"{place} has the name of a step of the loop. Give it another one.")
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


def _shown(given: object) -> str:
    """Return a value for a message: texts and numbers as they are, of all else its type."""
    if given is None or isinstance(given, (str, bytes, int, float)):
        text = ascii(given) if isinstance(given, str) and not given.isprintable() else repr(given)
        return text if len(text) <= _MAX_SHOWN_CHARS else f"{text[:_MAX_SHOWN_CHARS]}..."
    return f"a {type(given).__name__}"
