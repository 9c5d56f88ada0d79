"""Whether an operation of a store can be done: the same for every store of ours."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from langgraph.store.base import GetOp, InvalidNamespaceError, ListNamespacesOp, Op, PutOp, SearchOp
from langgraph.store.base import validate_op_namespace as check_labels

from core.text import DEEPEST, storable, storable_text
from memory.items import MAX_TTL_MINUTES
from memory.store_text import asked_text

_MOST: Final = 2**31 - 1


def checked(op: Op) -> Op:
    """Return an operation that can be done; its question and its filter in a form that can be stored.

    Raises:
        TypeError: it is no operation.
        ValueError: a part of it can't be used.
    """
    if not isinstance(op, (GetOp, SearchOp, PutOp, ListNamespacesOp)):  # pyright: ignore[reportUnnecessaryIsInstance] - callers without a type checker
        raise TypeError(f"{op!r} is no operation of a store")
    check_labels(op)
    if isinstance(op, (GetOp, PutOp)):
        _check_text("key", op.key)
        _check_namespace(op.namespace)
    if isinstance(op, PutOp):
        _check_put(op)
    if isinstance(op, (SearchOp, ListNamespacesOp)) and not (_is_count(op.limit) and _is_count(op.offset)):
        raise ValueError(
            f"limit is {op.limit!r} and offset {op.offset!r}; expected whole numbers, 0 to {_MOST}"
        )
    if isinstance(op, ListNamespacesOp):
        _check_listing(op)
    if isinstance(op, SearchOp):
        _check_namespace(op.namespace_prefix)
        _check_filter(op.filter or {})
        return op._replace(query=op.query and asked_text(op.query), filter=storable(op.filter))
    return op


def _is_count(number: object) -> bool:
    return isinstance(number, int) and 0 <= number <= _MOST


def _check_listing(op: ListNamespacesOp) -> None:
    if op.max_depth is not None and not _is_count(op.max_depth):
        raise ValueError(f"max_depth is {op.max_depth!r}; expected a whole number, 0 to {_MOST}")
    for condition in op.match_conditions or ():
        _check_namespace(condition.path)


def _check_put(op: PutOp) -> None:
    if not op.namespace:
        raise InvalidNamespaceError("the namespace is empty; expected at least one label")
    if op.ttl is not None and not 0 <= op.ttl <= MAX_TTL_MINUTES:
        raise ValueError(f"ttl is {op.ttl!r}; expected a number of minutes, 0 to {MAX_TTL_MINUTES:,}")
    if op.value is not None:
        _check_value(op.key, op.value)


def _check_value(key: str, value: object) -> None:
    """Refuse what is no JSON data, level by level; what holds itself is nested too deep."""
    if not isinstance(value, Mapping):
        raise ValueError(f"the value of {key!r} is {_kind(value)}; expected a dict")  # noqa: TRY004 - as for every value
    level: Sequence[Any] = [cast("Mapping[Any, Any]", value)]
    for _ in range(DEEPEST):
        below: dict[int, Any] = {}
        for part in level:
            if isinstance(part, Mapping):
                _check_leaves(key, [one for one in cast("Mapping[Any, Any]", part) if type(one) is not str])
            inner = cast("Sequence[Any]", part.values() if isinstance(part, Mapping) else part)
            below |= {id(one): one for one in inner if isinstance(one, (dict, list, tuple))}
            _check_leaves(key, [one for one in inner if not isinstance(one, (str, dict, list, tuple))])
        if not below:
            return
        level = list(below.values())
    raise ValueError(f"the value of {key!r} is nested too deep; expected at most {DEEPEST} levels")


def _check_leaves(key: str, leaves: Sequence[object]) -> None:
    for leaf in leaves:
        if leaf is not None and not isinstance(leaf, (str, int, float)):
            raise ValueError(
                f"the value of {key!r} holds {_kind(leaf)}, which can't be stored; expected JSON data: dicts,"
                " lists, texts, numbers, booleans and None"
            )


def _kind(value: object) -> str:
    return f"a value of the type {type(value).__name__}"


def _check_namespace(namespace: Sequence[str]) -> None:
    for label in namespace:
        if storable_text(label) != label:
            raise InvalidNamespaceError(f"the label {label!r} can't be stored; leave half characters out")


def _check_text(name: str, text: str) -> None:
    if storable_text(text) != text:
        raise ValueError(f"the {name} {text!r} can't be stored; leave NUL and half characters out")


def _check_filter(wanted: Mapping[str, Any]) -> None:
    for name, part in wanted.items():
        _check_names({name: part})
        if name in {"$and", "$or"}:
            if not isinstance(part, (list, tuple)) or not all(isinstance(one, Mapping) for one in part):
                raise ValueError(f"the filter has {name} with {part!r}; expected a list of filters")
            for one in cast("Sequence[Mapping[str, Any]]", part):
                _check_filter(one)


def _check_names(part: object) -> None:
    if isinstance(part, Mapping):
        for name, inner in cast("Mapping[Any, Any]", part).items():
            if not isinstance(name, str):
                raise ValueError(f"the filter has the field {name!r}; expected a name")  # noqa: TRY004 - as for every filter
            _check_names(inner)
    elif isinstance(part, (list, tuple)):
        for inner in cast("Sequence[Any]", part):
            _check_names(inner)
