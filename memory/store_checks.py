"""Whether an operation of a store can be done: the same for every store of ours."""

import math
from collections.abc import Sequence
from typing import Final

from langgraph.store.base import GetOp, InvalidNamespaceError, ListNamespacesOp, Op, PutOp, SearchOp
from langgraph.store.base import validate_op_namespace as check_labels

from core.text import storable_text

_MOST: Final = 2**31 - 1


def checked(op: Op) -> Op:
    """Return an operation that can be done; its question in a form that can be stored.

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
        return op._replace(query=op.query and storable_text(op.query))
    return op


def _check_put(op: PutOp) -> None:
    if not op.namespace:
        raise InvalidNamespaceError("the namespace is empty; expected at least one label")
    if op.ttl is not None and not 0 <= op.ttl < math.inf:
        raise ValueError(f"ttl is {op.ttl!r}; expected a finite number of minutes, 0 or more")


def _check_namespace(namespace: Sequence[str]) -> None:
    for label in namespace:
        if storable_text(label) != label:
            raise InvalidNamespaceError(f"the label {label!r} can't be stored; leave half characters out")


def _check_text(name: str, text: str) -> None:
    if storable_text(text) != text:
        raise ValueError(f"the {name} {text!r} can't be stored; leave NUL and half characters out")
