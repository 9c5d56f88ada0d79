from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal

import pytest
from pydantic import AnyUrl, BaseModel, Field, RootModel, create_model

from nodes.response_schema import response_schema, strict_schema


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"]
    name: str | None = Field(default=None, max_length=20, description="as called")


class Whole(BaseModel):
    pet: Cat | Dog = Field(discriminator="kind")
    born: date
    home: AnyUrl
    price: Decimal
    tags: Annotated[set[str], Field(min_length=1)]
    named: Dog = Field(description="another")


class Chain(BaseModel):
    next: "Chain | None" = None


def parts(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, list):
        return [found for item in value for found in parts(item)]
    return [value, *(f for item in value.values() for f in parts(item))] if isinstance(value, dict) else []


def test_a_strict_schema_requires_every_field_of_closed_objects_and_knows_no_other_word() -> None:
    schema, strict = strict_schema(response_schema(Whole))
    assert strict
    for part in parts(schema):
        if part.get("type") == "object":
            assert part["required"] == list(part["properties"])
            assert part["additionalProperties"] is False
        assert not {"default", "oneOf", "discriminator", "uniqueItems", "maxLength"} & part.keys()
        assert "$ref" not in part or list(part) == ["$ref"]
        assert "(?" not in str(part.get("pattern"))
        assert part.get("format") in {None, "date"}
    assert schema["properties"]["tags"]["minItems"] == 1
    assert schema["$defs"]["Dog"]["properties"]["name"]["description"] == "as called"


def test_a_model_that_contains_itself_is_an_object_at_its_root() -> None:
    schema, strict = strict_schema(response_schema(Chain))
    assert strict
    assert schema["type"] == "object"
    assert schema["properties"]["next"]["anyOf"][0] == {"$ref": "#/$defs/Chain"}


@pytest.mark.parametrize("kind", [dict[str, int], Any, tuple[int, str], dict[str, Any]])
def test_a_shape_that_strict_mode_does_not_know_goes_without_it_as_it_is(kind: Any) -> None:
    schema = response_schema(create_model("Odd", value=(kind, ...)))
    assert strict_schema(schema) == (schema, False)


def test_a_model_that_is_not_made_from_an_object_is_refused() -> None:
    with pytest.raises(ValueError, match="array; expected an object"):
        response_schema(RootModel[list[int]])
