"""Arguments of a foreign tool as a Pydantic model that validates by the tool's own JSON schema."""

import json
from itertools import islice
from typing import Any, ClassVar, cast

from jsonschema.exceptions import ValidationError as Violation
from jsonschema.protocols import Validator
from pydantic import BaseModel, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from tools.mcp.schema import MAX_CHARS, validator

_MAX_VIOLATIONS = 20
_MAX_MESSAGE_CHARS = 300
_MAX_ALTERNATIVES = 3


class McpArguments(BaseModel):
    """What a call of an MCP tool hands to its server: one field that holds all arguments, as they are.

    A property may be named as no Python field can be (`class`, `_id`, `a-b`, `model_config`), and one that
    was left out is not the same as null. So the properties are no fields of this model. It takes them at its
    top level all the same, like any model of arguments, and its JSON schema is the server's.
    """

    strict_schema: ClassVar[Validator]
    shown_schema: ClassVar[dict[str, Any]]

    arguments: dict[str, Any]

    @model_validator(mode="before")
    @classmethod
    def _by_the_schema(cls, given: Any) -> dict[str, Any]:
        violations = list(islice(cls.strict_schema.iter_errors(given), _MAX_VIOLATIONS))
        if violations:
            details = [detail for violation in violations for detail in _details(violation)]
            raise ValidationError.from_exception_data(cls.__name__, details)
        return {"arguments": given}

    @classmethod
    def model_json_schema(cls, *args: Any, **options: Any) -> dict[str, Any]:
        """Return the schema as the server wrote it."""
        del args, options
        return cls.shown_schema


def arguments_by_schema(schema: dict[str, Any], name: str) -> type[McpArguments]:
    """Return a model of a tool's arguments that validates by `schema`.

    Raises:
        ValueError: the schema is no schema of an object, refers to another document, or is over 100,000
            characters.
    """
    size = len(json.dumps(schema))
    if size > MAX_CHARS:
        raise ValueError(f"its input schema has {size} characters, at most {MAX_CHARS} are taken")
    if schema.get("type", "object") != "object":
        raise ValueError(f"its input schema is of type {str(schema['type'])[:50]!r}, expected 'object'")
    shown = {"type": "object", "properties": {}, **schema}
    body = {"strict_schema": validator(shown), "shown_schema": shown, "__module__": __name__}
    return cast("type[McpArguments]", type(f"{name}_arguments", (McpArguments,), body))


def _details(violation: Violation) -> list[InitErrorDetails]:
    """Phrase what violates a schema by field, in Pydantic's words where it has some."""
    where = tuple(violation.absolute_path)
    value: Any = violation.instance
    if violation.validator == "required" and isinstance(value, dict):
        missing = [name for name in cast("list[str]", violation.validator_value) if name not in value]
        named = [name for name in missing if repr(name) in violation.message][:1] or missing[:1]
        return [InitErrorDetails(type="missing", loc=(*where, *named), input=value)]
    if violation.validator in {"additionalProperties", "unevaluatedProperties"} and isinstance(value, dict):
        known = _unexpected(violation, cast("dict[str, Any]", value))
        if known:
            return [
                InitErrorDetails(type="extra_forbidden", loc=(*where, name), input=value[name])
                for name in known
            ]
    message = violation.message[:_MAX_MESSAGE_CHARS] + _alternatives(violation)
    reason = PydanticCustomError("json_schema", "{reason}", {"reason": message})
    return [InitErrorDetails(type=reason, loc=where, input=value)]


def _unexpected(violation: Violation, value: dict[str, Any]) -> list[str]:
    return [name for name in value if repr(name) in violation.message.partition("(")[2]]


def _alternatives(violation: Violation) -> str:
    """Say what the alternatives of a union miss, those of another type left out."""
    inner = [error for error in violation.context or () if error.validator != "type" or error.relative_path]
    told = [error for error in inner if error.validator != "unevaluatedProperties"] or inner
    parts = [f"{'.'.join(map(str, error.relative_path)) or 'itself'}: {error.message}" for error in told]
    return "".join(f"; {part[:_MAX_MESSAGE_CHARS]}" for part in parts[:_MAX_ALTERNATIVES])
