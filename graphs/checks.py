"""Checks of what an agent is made of, made when its graph is built.

What is given may be anything, so it is looked at as an `object`, whatever the annotations of the callers say.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Final, TypeVar, cast

from langchain_core.language_models import BaseChatModel
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.store.base import BaseStore

from core.errors import ConfigurationError
from core.text import storable_text
from nodes.remembering import Memory, MemoryPolicy

_MAX_GRAPH_NAME_CHARS: Final = 100
_MAX_SHOWN_CHARS: Final = 60
_MEMORY_BOUNDS: Final = {"max_recalled": (1, 50), "max_tokens": (20, 100_000), "max_facts": (1, 20)}
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
            f"{of}: {argument} is {shown(given)}; expected a list{wanted}, such as [...]."
        )
    found = cast("Sequence[object]", given)
    for number, one in enumerate(found, 1):
        if not isinstance(one, kind):  # pyright: ignore[reportUnnecessaryIsInstance] - a kind is narrower than object
            raise ConfigurationError(
                f"{of}: {argument}, number {number}, is {shown(one)}; expected a {kind.__name__}."
            )
    return list(cast("Sequence[_T]", found))


def check_text(given: object, *, of: str, argument: str) -> None:
    """Refuse what is no text, or can't be sent or stored.

    Raises:
        ConfigurationError: it is not.
    """
    if not isinstance(given, str):
        raise ConfigurationError(f"{of}: {argument} is {shown(given)}; expected a text.")
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
            f"{kind}: name is {shown(name)}; expected 1 to {_MAX_GRAPH_NAME_CHARS} characters in one line."
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
            f"{of}: checkpointer is {shown(checkpointer)}; expected a BaseCheckpointSaver such as "
            "`await postgres_checkpointer()`, or None."
        )
    if store is not None and not isinstance(store, BaseStore):
        raise ConfigurationError(f"{of}: store is {shown(store)}; expected a BaseStore, or None.")


def check_roles(of: str, roles: object) -> None:
    """Refuse a directory of roles that is none.

    Raises:
        ConfigurationError: it is no mapping of names to people.
    """
    if roles is None:
        return
    if not isinstance(roles, Mapping):
        raise ConfigurationError(
            f"{of}: roles is {shown(roles)}; expected a mapping such as {{'manager': ['ann']}}."
        )
    for role, people in cast("Mapping[object, object]", roles).items():
        if not isinstance(people, Collection):
            raise ConfigurationError(
                f"{of}: the role {shown(role)} is given to {shown(people)}; expected a list of names."
            )


def checked_memory(of: str, memory: Memory) -> Memory:
    """Return what an agent remembers by, after a look at it.

    Raises:
        ConfigurationError: it is something else, or a bound of it can't hold.
    """
    given = cast("object", memory)
    if given is None or isinstance(given, bool):
        return memory
    if not isinstance(given, MemoryPolicy):
        raise ConfigurationError(
            f"{of}: memory is {shown(memory)}; expected True, False, a MemoryPolicy, or None for what "
            "BORING_MEMORY says."
        )
    for name, (least, most) in _MEMORY_BOUNDS.items():
        bound: object = getattr(given, name)
        if isinstance(bound, bool) or not isinstance(bound, int) or not least <= bound <= most:
            raise ConfigurationError(
                f"{of}: {name} of memory is {shown(bound)}; expected a whole number from {least} to {most}."
            )
    return memory


def _check_model(given: object, *, of: str, argument: str) -> None:
    if isinstance(given, str):
        check_text(given, of=of, argument=argument)
    named = isinstance(given, str) and given.strip()
    if not (named or isinstance(given, BaseChatModel) or callable(given)):
        raise ConfigurationError(
            f"{of}: {argument} is {shown(given)}; expected a chat model, a source of one, or the name of a "
            "model."
        )


def shown(given: object) -> str:
    """Return a value for a message: texts and numbers as they are, of all else its type."""
    if given is None or isinstance(given, (str, bytes, int, float)):
        text = ascii(given) if isinstance(given, str) and not given.isprintable() else repr(given)
        return text if len(text) <= _MAX_SHOWN_CHARS else f"{text[:_MAX_SHOWN_CHARS]}..."
    return f"a {type(given).__name__}"
