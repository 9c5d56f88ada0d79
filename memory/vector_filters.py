"""A store's filters, applied to values at hand: the same as `memory.store_filters` has them in SQL."""

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from langgraph.store.base import MatchCondition

_ORDERED: dict[str, Callable[[Any, Any], bool]] = {
    "$gt": operator.gt,
    "$gte": operator.ge,
    "$lt": operator.lt,
    "$lte": operator.le,
}
_KNOWN = "$eq, $ne, $gt, $gte, $lt, $lte, and, around whole conditions, $and and $or"


def fits(value: Mapping[str, Any], wanted: Mapping[str, Any] | None) -> bool:
    """Tell whether an item's value fits a filter. A field that is missing compares as null does.

    Raises:
        ValueError: an operator is unknown, or compares by size what has no order.
    """
    found = [_entry(value, key, part) for key, part in (wanted or {}).items()]  # all are checked
    return all(found)


def matches(namespace: Sequence[str], condition: MatchCondition) -> bool:
    """Tell whether a namespace begins or ends as the condition says; `*` stands for any label.

    Raises:
        ValueError: the condition is neither a prefix nor a suffix.
    """
    if condition.match_type not in {"prefix", "suffix"}:
        raise ValueError(f"the match type is {condition.match_type!r}; expected prefix or suffix")
    length = len(condition.path)
    start = 0 if condition.match_type == "prefix" else len(namespace) - length
    if len(namespace) < length:
        return False
    part = namespace[start : start + length]
    return all(wanted in {"*", label} for wanted, label in zip(condition.path, part, strict=True))


def _entry(value: Mapping[str, Any], key: str, wanted: Any) -> bool:
    if key in {"$and", "$or"}:
        parts = [fits(value, part) for part in wanted]
        return all(parts) if key == "$and" else any(parts)
    if key.startswith("$"):
        raise ValueError(f"the filter has the operator {key!r} where a field stands; known are {_KNOWN}")
    return _fits(value.get(key), wanted)


def _fits(held: Any, wanted: Any) -> bool:
    if isinstance(wanted, Mapping):
        entries = cast("Mapping[str, Any]", wanted)
        if any(key.startswith("$") for key in entries):
            compared = [_compared(held, name, operand) for name, operand in entries.items()]  # as above
            return all(compared)
        inner = cast("Mapping[str, Any]", held) if isinstance(held, Mapping) else {}
        found = [_fits(inner.get(key), value) for key, value in entries.items()]
        return isinstance(held, Mapping) and all(found)
    if isinstance(wanted, (list, tuple)):
        elements = cast("Sequence[Any]", wanted)
        if not isinstance(held, list) or len(cast("list[Any]", held)) != len(elements):
            return False
        return all(_fits(one, part) for one, part in zip(cast("list[Any]", held), elements, strict=True))
    return _same(held, wanted)


def _compared(held: Any, name: str, operand: Any) -> bool:
    if name == "$eq":
        return _same(held, operand)
    if name == "$ne":
        return not _same(held, operand)
    if name not in _ORDERED:
        raise ValueError(f"the filter has the unknown operator {name!r}; known are {_KNOWN}")
    if not isinstance(operand, (bool, int, float, str)):
        raise ValueError(f"{name} compares with {operand!r}; expected a number, a text or a boolean")  # noqa: TRY004 - as the store in SQL
    return _kind(held) == _kind(operand) and _ORDERED[name](held, operand)


def _same(held: Any, wanted: Any) -> bool:
    """Compare as JSON does: true is not 1, and 1 is 1.0."""
    if isinstance(held, list) and isinstance(wanted, (list, tuple)):
        one, other = cast("list[Any]", held), cast("Sequence[Any]", wanted)
        return len(one) == len(other) and all(_same(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(held, dict) and isinstance(wanted, Mapping):
        mine, theirs = cast("dict[str, Any]", held), cast("Mapping[str, Any]", wanted)
        return mine.keys() == theirs.keys() and all(_same(mine[key], theirs[key]) for key in mine)
    return _kind(held) == _kind(wanted) and held == wanted


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    return "number" if isinstance(value, (int, float)) else type(value).__name__
