"""The JSON schemas that make a model write a structured answer: plain for tools, strict for OpenAI."""

from typing import Any

from pydantic import BaseModel

Schema = dict[str, Any]

_KEPT = frozenset({
    *("type", "properties", "items", "anyOf", "$ref", "$defs", "enum", "const", "description"),
    *("pattern", "format", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    *("minItems", "maxItems"),
})  # fmt: skip
_FORMATS = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"})
_SHAPES = frozenset({"type", "anyOf", "$ref", "enum", "const"})


def response_schema(model: type[BaseModel]) -> Schema:
    """Return the schema of the JSON object that `model` is made from.

    Raises:
        ValueError: the model is made from something else, such as a list.
    """
    schema = model.model_json_schema()
    if "$ref" in schema:  # a model that contains itself
        named = str(schema["$ref"]).rpartition("/")[2]
        schema = {**schema["$defs"][named], "$defs": schema["$defs"]}
    if schema.get("type") != "object":
        raise ValueError(
            f"response_format {model.__name__} is made from a JSON {schema.get('type') or 'value'}; expected "
            "an object. Put the value into a field of a model."
        )
    return schema


def strict_schema(schema: Schema) -> tuple[Schema, bool]:
    """Return `schema` as OpenAI's strict mode takes it, and whether it can.

    Strict mode wants every field required and closed objects, and knows only some keywords. A bound that it
    does not know is left out, since the answer is validated afterwards anyway; a shape that it does not know,
    such as a mapping with free keys, has to go without strict mode, as it is.

    Source: https://platform.openai.com/docs/guides/structured-outputs
    """
    try:
        return _strict(schema), True
    except LookupError:
        return schema, False


def _strict(part: Schema) -> Schema:
    if "oneOf" in part:
        part = {**part, "anyOf": part["oneOf"]}
    is_object = part.get("type") == "object"
    if not _SHAPES & part.keys() or (is_object and part.get("additionalProperties")):
        raise LookupError
    if (is_object and "properties" not in part) or "prefixItems" in part or "allOf" in part:
        raise LookupError
    if "$ref" in part:
        return {"$ref": part["$ref"]}
    kept = {key: _strict_value(key, value) for key, value in part.items() if _is_kept(key, value)}
    if is_object:
        kept |= {"required": list(part["properties"]), "additionalProperties": False}
    return kept


def _is_kept(key: str, value: Any) -> bool:
    if key == "format":
        return value in _FORMATS
    if key == "pattern":
        return "(?" not in value
    return key in _KEPT


def _strict_value(key: str, value: Any) -> Any:
    if key in {"properties", "$defs"}:
        return {name: _strict(part) for name, part in value.items()}
    if key == "anyOf":
        return [_strict(part) for part in value]
    return _strict(value) if key == "items" else value
