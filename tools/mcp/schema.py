"""JSON schemas of foreign tools: closed against fields that they do not name, and checked before use.

A JSON schema lets an object have any further field, where a native tool refuses what it does not know. So
each object of a schema that names its fields, at every depth, is closed for validation; the model is shown
the schema as its server wrote it. Left open are objects that say what further fields may hold
(`additionalProperties`), and nested ones that name no fields at all, which are free-form.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from jsonschema import (
    Draft3Validator,
    Draft4Validator,
    Draft6Validator,
    Draft7Validator,
    Draft202012Validator,
)
from jsonschema.exceptions import UnknownType, best_match
from jsonschema.protocols import Validator
from jsonschema.validators import extend, validator_for
from referencing import Registry, Specification
from referencing.exceptions import NoSuchResource, Unresolvable
from referencing.jsonschema import Schema, SchemaRegistry, specification_with

from tools.mcp.formats import formats
from tools.mcp.patterns import without_patterns

_CLOSING = "unevaluatedProperties"
_INSIDE = (
    *("additionalProperties", "additionalItems", "contains", "items", "prefixItems", "unevaluatedItems"),
    _CLOSING,
)
_INSIDE_BY_NAME = ("properties",)
_BESIDE = ("then", "else")
_BESIDE_LISTED = ("allOf", "anyOf", "oneOf")
_BESIDE_BY_NAME = ("$defs", "definitions", "dependentSchemas")
_BY_NAME = (*_INSIDE_BY_NAME, *_BESIDE_BY_NAME)
_LISTED = ("prefixItems", *_BESIDE_LISTED)
_UNIONS = ("anyOf", "oneOf")
_SAYS_NOTHING = {
    "title",
    "description",
    "default",
    "examples",
    "$schema",
    "$defs",
    "definitions",
    "deprecated",
}
_REFERENCES_ALONE = (Draft3Validator, Draft4Validator, Draft6Validator, Draft7Validator)
MAX_CHARS = 100_000


def validator(schema: Mapping[str, Any]) -> Validator:
    """Return a validator of arguments by `schema`, closed, in the draft that the schema names.

    Raises:
        ValueError: the schema can't be validated by; the message says why.
    """
    kind = validator_for(schema, default=Draft202012Validator)
    try:
        if (wrong := best_match(kind(kind.META_SCHEMA).iter_errors(schema))) is not None:
            raise ValueError(f"its input schema is not valid at {wrong.json_path}: {wrong.message[:200]}")
        dialect = specification_with(kind.META_SCHEMA["$schema"])
        _check_references(schema, dialect)
        readable = _readable(dict(schema), dialect)
        closed = _Closer(readable, dialect, kind in _REFERENCES_ALONE).closed(readable, is_root=True)
    except (RecursionError, UnknownType) as error:
        raise ValueError(f"its input schema can't be read: {type(error).__name__}") from error
    closing = {_CLOSING: Draft202012Validator.VALIDATORS[_CLOSING]}
    strict: Any = extend(kind, closing)
    # An empty registry: a reference to another document is never fetched.
    return strict(closed, registry=Registry(), format_checker=formats())


def _readable(schema: dict[str, Any], dialect: Specification[Schema]) -> dict[str, Any]:
    """Return `schema` without patterns, or one that takes anything where it refers to what went with them."""
    plain = without_patterns(schema)
    try:
        _check_references(plain, dialect)
    except ValueError:
        return {"type": "object", "additionalProperties": True}
    return plain


def _check_references(schema: Schema, dialect: Specification[Schema]) -> None:
    registry: SchemaRegistry = Registry()
    resolver = registry.resolver_with_root(dialect.create_resource(schema))
    for reference in _references(schema):
        try:
            resolver.lookup(reference)
        except (Unresolvable, NoSuchResource) as error:
            raise ValueError(f"its input schema refers to {reference[:200]!r}, which is not in it") from error


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, list):
        for item in cast("list[Any]", part):
            yield from _references(item)
    if isinstance(part, dict):
        for key, value in cast("dict[str, Any]", part).items():
            if key == "$ref" and isinstance(value, str):
                yield value
            else:
                yield from _references(value)


@dataclass(frozen=True, slots=True)
class _Closer:
    """Closes the objects of one schema.

    Attributes:
        root: the whole schema.
        dialect: how its references are read.
        references_alone: whether its draft ignores what stands beside a reference, as drafts up to 7 do.
    """

    root: Schema
    dialect: Specification[Schema]
    references_alone: bool

    def closed(self, schema: Any, *, is_root: bool = False) -> Any:
        """Return the schema of a value that stands by itself: no other schema says anything about it."""
        if not isinstance(schema, dict):
            return schema
        given = cast("dict[str, Any]", schema)
        inner = self.opened(given)
        unions = [key for key in _UNIONS if key in given]
        if len(unions) == 1 and given.keys() <= {unions[0], *_SAYS_NOTHING}:
            return {**inner, unions[0]: [self.closed(branch) for branch in given[unions[0]]]}
        if not is_root and not self._names_fields(given, frozenset()):
            return inner
        closing = {_CLOSING: inner.get(_CLOSING, False)}
        if "$ref" not in inner or not self.references_alone:
            return {**inner, **closing}
        return {"allOf": [{"$ref": inner["$ref"]}], **closing}

    def opened(self, schema: Any) -> Any:
        """Return `schema` with the values inside of its value closed, and itself as open as it was."""
        if not isinstance(schema, dict):
            return schema
        given = cast("dict[str, Any]", schema)
        return {key: self._part(key, part) for key, part in given.items()}

    def _part(self, key: str, part: Any) -> Any:
        change = self.closed if key in _INSIDE or key in _INSIDE_BY_NAME else self.opened
        if key in _BY_NAME:
            return {name: change(item) for name, item in part.items()}
        if key in _LISTED or (key == "items" and isinstance(part, list)):
            return [change(item) for item in part]
        return change(part) if key in _INSIDE or key in _BESIDE else part

    def _names_fields(self, schema: Any, seen: frozenset[str]) -> bool:
        """Tell whether an object's fields are named by `schema` or by what it combines."""
        if not isinstance(schema, dict):
            return False
        given = cast("dict[str, Any]", schema)
        if "properties" in given:
            return True
        reference = given.get("$ref")
        if isinstance(reference, str) and reference not in seen:
            registry: SchemaRegistry = Registry()
            resolver = registry.resolver_with_root(self.dialect.create_resource(self.root))
            if self._names_fields(resolver.lookup(reference).contents, seen | {reference}):
                return True
        parts = [part for key in _BESIDE_LISTED for part in given.get(key, ())]
        return any(self._names_fields(part, seen) for part in [*parts, *(given.get(key) for key in _BESIDE)])
