"""No invalid call reaches a tool and no valid one is refused, for arguments of any shape."""

import asyncio
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Union

from hypothesis import given, note, settings
from hypothesis import strategies as st
from langchain_core.messages import ToolCall, ToolMessage
from langchain_core.tools import StructuredTool
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, create_model

from tools.contract import Tool, contract
from tools.results import MALFORMED
from tools.runtime import CallScope, ToolRuntime

Json = Any
EXAMPLES = settings(max_examples=75, deadline=None, derandomize=True, database=None)
NAMES = ("alpha", "beta", "gamma", "delta")
MISSING: Any = object()
scalars = st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-9, 9) | st.text("ab1 ", max_size=4)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from([*NAMES, "other"]), inner),
    max_leaves=4,
)


@dataclass(frozen=True)
class Shape:
    """A type of arguments.

    Attributes:
        make: returns the type, given whether every model in it says itself that it refuses what it does not
            know; only that differs.
        fits: draws values that fit.
    """

    make: Callable[[bool], Any]
    fits: st.SearchStrategy[Json]


@dataclass
class Fields:
    """The fields of a model: shapes, and defaults of those that may be left out."""

    shapes: dict[str, Shape]
    defaults: dict[str, Json] = field(default_factory=dict[str, Json])

    def model(self, *, forbids: bool) -> type[BaseModel]:
        fields: dict[str, Any] = {
            name: (kind := shape.make(forbids), self.default(name, kind))
            for name, shape in self.shapes.items()
        }
        return create_model("Given", __config__=ConfigDict(extra="forbid") if forbids else None, **fields)

    def default(self, name: str, kind: Any) -> Any:
        """Return what a field holds that is left out, as a tool's author writes it: models are models."""
        return TypeAdapter(kind).validate_python(self.defaults[name]) if name in self.defaults else ...

    def fits(self) -> st.SearchStrategy[Json]:
        needed = {name: one.fits for name, one in self.shapes.items() if name not in self.defaults}
        optional = {name: one.fits for name, one in self.shapes.items() if name in self.defaults}
        return st.fixed_dictionaries(needed, optional=optional)


def whole(low: int, high: int) -> Shape:
    return Shape(lambda _: Annotated[int, Field(ge=low, le=high)], st.integers(low, high))


def words(least: int, most: int) -> Shape:
    kind = Annotated[str, Field(min_length=least, max_length=most, pattern="^[ab]*$")]
    return Shape(lambda _: kind, st.text("ab", min_size=least, max_size=most))


def listed(inner: Shape, most: int) -> Shape:
    return Shape(
        lambda forbids: Annotated[list[inner.make(forbids)], Field(max_length=most)],
        st.lists(inner.fits, max_size=most),
    )


def keyed(inner: Shape) -> Shape:
    return Shape(
        lambda forbids: dict[str, inner.make(forbids)], st.dictionaries(st.text("ab", max_size=3), inner.fits)
    )


def either(one: Shape, other: Shape) -> Shape:
    return Shape(
        lambda forbids: Union[one.make(forbids), other.make(forbids)],  # noqa: UP007 - made of values
        one.fits | other.fits,
    )


def maybe(inner: Shape) -> Shape:
    return Shape(lambda forbids: inner.make(forbids) | None, inner.fits | st.none())


def nested(inside: Fields) -> Shape:
    made: dict[bool, type[BaseModel]] = {}

    def make(forbids: bool) -> type[BaseModel]:  # noqa: FBT001 - as `Shape.make` wants it
        if forbids not in made:
            made[forbids] = inside.model(forbids=forbids)
        return made[forbids]

    return Shape(make, inside.fits())


simple = st.one_of(
    st.builds(whole, st.integers(-3, 0), st.integers(1, 5)),
    st.builds(words, st.integers(0, 1), st.integers(2, 4)),
    st.just(Shape(lambda _: bool, st.booleans())),
    st.just(Shape(lambda _: float, st.floats(-9, 9))),
    st.just(Shape(lambda _: Literal["ab", "b"], st.sampled_from(["ab", "b"]))),
)


@st.composite
def fields_of(draw: st.DrawFn, inner: st.SearchStrategy[Shape]) -> Fields:
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True))
    shapes = {name: draw(inner) for name in names}
    with_default = draw(st.sets(st.sampled_from(names)))
    return Fields(shapes, {name: draw(shapes[name].fits) for name in sorted(with_default)})


shapes = st.recursive(
    simple,
    lambda inner: st.one_of(
        st.builds(listed, inner, st.integers(1, 3)),
        st.builds(keyed, inner),
        st.builds(either, inner, inner),
        st.builds(maybe, inner),
        fields_of(inner).map(nested),
    ),
    max_leaves=6,
)


class Taker:
    """A tool that keeps what reaches it."""

    def __init__(self, fields: Fields, *, as_langchain: bool) -> None:
        self.taken: dict[str, Any] | None = None
        model = fields.model(forbids=False)
        self.tool = self._langchain(model) if as_langchain else self._function(model)

    async def take(self, **values: Any) -> str:
        """Take it."""
        self.taken = values
        return "taken"

    def _langchain(self, model: type[BaseModel]) -> Tool:
        made = StructuredTool(name="take", description="Take it.", args_schema=model, coroutine=self.take)
        return contract(made, effect="read")

    def _function(self, model: type[BaseModel]) -> Tool:
        async def take(**values: Any) -> str:
            """Take it."""
            return await self.take(**values)

        kind = inspect.Parameter.KEYWORD_ONLY
        parameters = [
            inspect.Parameter(
                name,
                kind,
                default=inspect.Parameter.empty if one.is_required() else one.default,
                annotation=Annotated[one.annotation, *one.metadata] if one.metadata else one.annotation,
            )
            for name, one in model.model_fields.items()
        ]
        setattr(take, "__signature__", inspect.Signature(parameters))  # noqa: B010 - a function has no such type
        take.__annotations__ = {one.name: one.annotation for one in parameters}
        return contract(take, effect="read")

    def call(self, arguments: Mapping[str, Json]) -> ToolMessage:
        call = ToolCall(name="take", args=dict(arguments), id="c1")
        scope = CallScope(step=1, time_limit_s=30)
        message = asyncio.run(ToolRuntime([self.tool]).call(call, scope))
        assert isinstance(message, ToolMessage)
        return message


def plain(value: Any) -> Json:
    """Return a value with its models as dicts."""
    if isinstance(value, BaseModel):
        return {name: plain(one) for name, one in value}
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}  # pyright: ignore[reportUnknownVariableType]
    return [plain(one) for one in value] if isinstance(value, list) else value  # pyright: ignore[reportUnknownVariableType]


@st.composite
def spoilt(draw: st.DrawFn, value: Json) -> Json:
    """Change a value in one place: another value, an unknown field, or one that is missing."""
    if isinstance(value, dict) and value and draw(st.booleans()):
        key = draw(st.sampled_from(sorted(value)))  # pyright: ignore[reportUnknownArgumentType]
        return {**value, key: draw(spoilt(value[key]))}
    if isinstance(value, list) and value:
        at = draw(st.integers(0, len(value) - 1))  # pyright: ignore[reportUnknownArgumentType]
        return [*value[:at], draw(spoilt(value[at])), *value[at + 1 :]]
    if isinstance(value, dict) and draw(st.booleans()):
        return {**value, draw(st.sampled_from(["other", *NAMES])): draw(anything)}
    if isinstance(value, dict) and value:
        gone = draw(st.sampled_from(sorted(value)))  # pyright: ignore[reportUnknownArgumentType]
        return {key: one for key, one in value.items() if key != gone}
    return draw(anything)


@EXAMPLES
@given(data=st.data(), fields=fields_of(shapes), as_langchain=st.booleans())
def test_exactly_the_valid_calls_reach_the_tool(
    data: st.DataObject, fields: Fields, *, as_langchain: bool
) -> None:
    arguments = data.draw(fields.fits())
    if data.draw(st.booleans(), label="spoilt"):
        arguments = data.draw(spoilt(arguments))
    if not isinstance(arguments, dict):
        return
    taker = Taker(fields, as_langchain=as_langchain)
    message = taker.call(arguments)
    note(message.text)
    try:
        valid = fields.model(forbids=True).model_validate(arguments)
    except ValidationError as error:
        assert taker.taken is None
        assert message.artifact["outcome"] == "invalid"
        for one in error.errors():
            assert ".".join(map(str, one["loc"])) in message.text
    else:
        assert message.text == "taken"
        assert plain(taker.taken) == plain(valid)


@EXAMPLES
@given(data=st.data(), inside=fields_of(simple), depth=st.integers(0, 4))
def test_an_unknown_field_is_refused_at_every_depth(data: st.DataObject, inside: Fields, depth: int) -> None:
    arguments, fields, way = data.draw(inside.fits()), inside, ["other"]
    arguments["other"] = data.draw(anything)
    for level in range(depth):
        name = NAMES[level % len(NAMES)]
        in_a_list = data.draw(st.booleans())
        arguments = {name: [arguments] if in_a_list else arguments}
        shape = nested(fields)
        fields = Fields({name: listed(shape, 1) if in_a_list else shape})
        way = [name, *(["0"] if in_a_list else []), *way]
    taker = Taker(fields, as_langchain=data.draw(st.booleans()))
    message = taker.call(arguments)
    assert taker.taken is None
    assert f"- {'.'.join(way)}: Extra inputs are not permitted" in message.text


@EXAMPLES
@given(fields=fields_of(shapes), written=st.text(max_size=300))
def test_arguments_that_are_no_json_reach_no_tool(fields: Fields, written: str) -> None:
    taker = Taker(fields, as_langchain=False)
    message = taker.call({MALFORMED: written})
    assert taker.taken is None
    assert message.artifact["outcome"] == "invalid"
    assert message.text.startswith("The arguments of take are not JSON: ")
    assert "Expected: " in message.text
