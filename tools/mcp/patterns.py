"""Takes the regular expressions out of a JSON schema: no server may run one in our event loop.

Python's may take years for a few characters, and nothing can stop one. What a schema says by patterns is left
to its server, which validates its own arguments. What is left here refuses nothing that the whole would take.
"""

from typing import Any, cast

Schema = dict[str, Any]
_PATTERNS = {"pattern", "patternProperties"}
_REFERENCES = {"$ref", "$dynamicRef", "$recursiveRef"}
_BY_NAME = {"properties", "$defs", "definitions", "dependentSchemas", "dependencies"}
_CONDITION = {"if", "then", "else"}
_PLAIN = {"enum", "const", "default", "examples"}


def without_patterns(schema: Schema) -> Schema:
    """Return `schema` without patterns; where there are none, as it is.

    What turns on a pattern goes as a whole: `not`, `contains`, `if` with its branches. Of alternatives that
    may differ by patterns, several may hold. An object whose fields are named by patterns takes any field.
    """
    return _without(schema) if _mentions(schema, _PATTERNS) else schema


def _without(part: Any) -> Any:
    if isinstance(part, list):
        return [_without(item) for item in cast("list[Any]", part)]
    if not isinstance(part, dict):
        return part
    given = cast("Schema", part)
    kept: Schema = {}
    for key, value in given.items():
        if key in _PATTERNS or (key in {"not", "contains"} and _turns_on_patterns(value)):
            continue
        if key in _BY_NAME and isinstance(value, dict):
            kept[key] = {name: _without(item) for name, item in cast("Schema", value).items()}
        else:
            kept[key] = value if key in _PLAIN else _without(value)
    if "oneOf" in kept and _turns_on_patterns(given["oneOf"]):
        kept["allOf"] = [*kept.get("allOf", ()), {"anyOf": kept.pop("oneOf")}]
    if _turns_on_patterns(given.get("if")):
        kept = {key: value for key, value in kept.items() if key not in _CONDITION}
        kept.setdefault("additionalProperties", True)
    if "patternProperties" in given:
        kept.pop("unevaluatedProperties", None)
        kept["additionalProperties"] = True
    return kept


def _turns_on_patterns(part: Any) -> bool:
    return _mentions(part, _PATTERNS | _REFERENCES)


def _mentions(part: Any, keywords: set[str]) -> bool:
    if isinstance(part, list):
        return any(_mentions(item, keywords) for item in cast("list[Any]", part))
    if not isinstance(part, dict):
        return False
    given = cast("Schema", part)
    return not keywords.isdisjoint(given) or any(_mentions(item, keywords) for item in given.values())
