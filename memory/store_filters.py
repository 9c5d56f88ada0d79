"""A store's filters as conditions in SQL. They compare as JSON does, so nothing is converted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from psycopg import sql
from psycopg.types.json import Jsonb

_ORDERED = {"$gt": sql.SQL(">"), "$gte": sql.SQL(">="), "$lt": sql.SQL("<"), "$lte": sql.SQL("<=")}
_TYPES: dict[type, str] = {bool: "boolean", int: "number", float: "number", str: "string"}
_KNOWN = "$eq, $ne, $gt, $gte, $lt, $lte, and, around whole conditions, $and and $or"


class Conditions:
    """Conditions of one statement, and the values that they name.

    A condition is true or false and never null: a field that is missing compares as null does.
    """

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def of(self, wanted: Mapping[str, Any] | None) -> sql.Composable:
        """Return the condition that an item's `value` fits `wanted`, which `memory.store_checks` let pass.

        Raises:
            ValueError: an operator is unknown, or compares by size what has no order.
        """
        return _all([self._entry(key, value) for key, value in (wanted or {}).items()])

    def _entry(self, key: str, wanted: Any) -> sql.Composable:
        if key in {"$and", "$or"}:
            parts = [sql.SQL("({})").format(self.of(part)) for part in wanted]
            joined = sql.SQL(" and " if key == "$and" else " or ").join(parts)
            if not parts:
                return sql.SQL("true") if key == "$and" else sql.SQL("false")
            return sql.SQL("({})").format(joined)
        if key.startswith("$"):
            raise ValueError(f"the filter has the operator {key!r} where a field stands; known are {_KNOWN}")
        return self._fits(sql.SQL("(value -> {})").format(self._named(key)), wanted)

    def _fits(self, field: sql.Composable, wanted: Any) -> sql.Composable:
        if isinstance(wanted, Mapping):
            entries = cast("Mapping[str, Any]", wanted)
            if any(key.startswith("$") for key in entries):
                return _all([self._compared(field, name, operand) for name, operand in entries.items()])
            inner = [
                self._fits(sql.SQL("({} -> {})").format(field, self._named(key)), value)
                for key, value in entries.items()
            ]
            return _all([_is_a(field, "object"), *inner])
        if isinstance(wanted, (list, tuple)):
            elements = cast("Sequence[Any]", wanted)
            inner = [
                self._fits(sql.SQL("({} -> {})").format(field, sql.Literal(place)), value)
                for place, value in enumerate(elements)
            ]
            length = sql.SQL("case when {} then jsonb_array_length({}) = {} else false end").format(
                _is_a(field, "array"), field, sql.Literal(len(elements))
            )
            return _all([length, *inner])
        return self._compared(field, "$eq", wanted)

    def _compared(self, field: sql.Composable, operator: str, operand: Any) -> sql.Composable:
        held = sql.SQL("coalesce({}, 'null')").format(field)
        named = sql.SQL("{}::jsonb").format(self._named(Jsonb(operand)))
        if operator == "$eq":
            return sql.SQL("{} = {}").format(held, named)
        if operator == "$ne":
            return sql.SQL("{} <> {}").format(held, named)
        if operator not in _ORDERED:
            raise ValueError(f"the filter has the unknown operator {operator!r}; known are {_KNOWN}")
        if type(operand) not in _TYPES:
            raise ValueError(f"{operator} compares with {operand!r}; expected a number, a text or a boolean")
        compared = sql.SQL("{} {} {}").format(held, _ORDERED[operator], named)
        return _all([_is_a(field, _TYPES[type(operand)]), compared])

    def _named(self, value: Any) -> sql.Composable:
        name = f"filter_{len(self.values)}"
        self.values[name] = value
        return (
            sql.Placeholder(name)
            if isinstance(value, Jsonb)
            else sql.SQL("{}::text").format(sql.Placeholder(name))
        )


def _is_a(field: sql.Composable, kind: str) -> sql.Composable:
    return sql.SQL("coalesce(jsonb_typeof({}), 'null') = {}").format(field, sql.Literal(kind))


def _all(conditions: Sequence[sql.Composable]) -> sql.Composable:
    if not conditions:
        return sql.SQL("true")
    return sql.SQL("({})").format(sql.SQL(" and ").join(conditions))
