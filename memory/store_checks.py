"""Whether an operation of a store can be done: the same for every store of ours."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from langgraph.store.base import GetOp, InvalidNamespaceError, ListNamespacesOp, Op, PutOp, SearchOp
from langgraph.store.base import validate_op_namespace as check_labels

from core.text import storable, storable_text
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
    if isinstance(op, (SearchOp, ListNamespacesOp)) and not (
        0 <= op.limit <= _MOST and 0 <= op.offset <= _MOST
    ):
        raise ValueError(f"limit is {op.limit} and offset {op.offset}; expected 0 to {_MOST}")
    if isinstance(op, SearchOp):
        _check_namespace(op.namespace_prefix)
        _check_filter(op.filter or {})
        return op._replace(query=op.query and asked_text(op.query), filter=storable(op.filter))
    return op


def _check_put(op: PutOp) -> None:
    if not op.namespace:
        raise InvalidNamespaceError("the namespace is empty; expected at least one label")
    if op.ttl is not None and not 0 <= op.ttl <= MAX_TTL_MINUTES:
        raise ValueError(f"ttl is {op.ttl!r}; expected a number of minutes, 0 to {MAX_TTL_MINUTES:,}")


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
