"""LangChain's tools under contract: what they are given, what they may not ask for, what they may return."""

import asyncio
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import ToolCall, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool, InjectedToolArg, InjectedToolCallId, StructuredTool
from langchain_core.tools import tool as langchain_tool
from langgraph.prebuilt import InjectedState, InjectedStore, ToolRuntime
from langgraph.types import Command
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, create_model, field_validator
from pydantic.alias_generators import to_camel

from core.context import RunContext
from tools.contract import AnyTool, contract, contracted
from tools.runtime import CallScope
from tools.runtime import ToolRuntime as Runtime

EXAMPLES = settings(max_examples=100, deadline=None, derandomize=True, database=None)
NAMES = ("user_id", "note", "in_", "key2")


async def told(tool: AnyTool, arguments: dict[str, Any], call_id: str = "call_1") -> ToolMessage:
    runtime = Runtime([contract(tool, effect="read")])  # pyright: ignore[reportArgumentType] - no Tool here
    call = ToolCall(name=next(iter(runtime.tools)), args=arguments, id=call_id)
    message = await runtime.call(call, CallScope(step=1, time_limit_s=30))
    assert isinstance(message, ToolMessage)
    return message


def look_up(name: str, call_id: Annotated[str, InjectedToolCallId]) -> str:
    """Look up a name."""
    return f"{name} by {call_id}"


async def look_up_async(name: str, call_id: Annotated[str, InjectedToolCallId]) -> str:
    """Look up a name."""
    return look_up(name, call_id)


class LookUp(BaseTool):
    name: str = "look_up"
    description: str = "Look up a name."

    def _run(self, name: str, call_id: Annotated[str, InjectedToolCallId]) -> str:
        return look_up(name, call_id)


class NameAndCall(BaseModel):
    name: str = Field(alias="theName")
    call_id: Annotated[str, InjectedToolCallId]

    @field_validator("call_id")
    @classmethod
    def is_given(cls, value: str) -> str:
        assert value
        return value


@pytest.mark.parametrize(
    "tool", [look_up, look_up_async, langchain_tool(look_up), langchain_tool(look_up_async), LookUp()]
)
async def test_a_tool_that_asks_for_the_id_of_its_call_gets_it(tool: AnyTool) -> None:
    assert list(contracted(tool).arguments_schema()["properties"]) == ["name"]
    assert (await told(tool, {"name": "Bo"}, "call_77")).text == "Bo by call_77"


async def test_a_schema_with_the_id_of_the_call_hides_it_and_refuses_it_from_the_model() -> None:
    tool = StructuredTool.from_function(look_up, args_schema=NameAndCall)
    assert list(contract(tool).arguments_schema()["properties"]) == ["theName"]
    assert (await told(tool, {"theName": "Bo"}, "call_77")).text == "Bo by call_77"
    for forged in ("call_1", None):
        message = await told(tool, {"theName": "Bo", "call_id": forged})
        assert message.artifact["outcome"] == "invalid"
        assert "call_id: Extra inputs are not permitted" in message.text


async def test_callbacks_are_told_the_id_that_the_model_gave_the_call() -> None:
    def configured(name: str, config: RunnableConfig) -> str:
        """Look up a name."""
        assert config is not None
        return name

    heard: list[str] = []

    class Listening(StructuredTool):
        async def arun(self, *args: Any, **kwargs: Any) -> Any:
            heard.append(kwargs["tool_call_id"])
            return await super().arun(*args, **kwargs)

    async def named(name: str) -> str:
        """Look up a name."""
        return name

    assert (await told(langchain_tool(configured), {"name": "Bo"})).text == "Bo"
    assert (await told(Listening.from_function(coroutine=named), {"name": "Bo"}, "call_5")).text == "Bo"
    assert heard == ["call_5"]


def with_state(name: str, state: Annotated[dict[str, Any], InjectedState]) -> str:
    """Use the state."""
    return f"{name}{state}"


def with_field(name: str, messages: Annotated[list[Any] | None, InjectedState("messages")] = None) -> str:
    """Use a part of the state."""
    return f"{name}{messages}"


def with_store(name: str, store: Annotated[Any, InjectedStore()]) -> str:
    """Use the store."""
    return f"{name}{store}"


def with_runtime(
    name: str,
    runtime: ToolRuntime,  # pyright: ignore[reportUnknownParameterType] - as it is commonly written
) -> str:
    """Use the runtime."""
    return f"{name}{runtime}"


def with_typed_runtime(name: str, runtime: ToolRuntime[RunContext, Any] | None = None) -> str:
    """Use the runtime."""
    return f"{name}{runtime}"


def with_whatever(name: str, whatever: Annotated[int, InjectedToolArg]) -> str:
    """Use what nobody gives."""
    return f"{name}{whatever}"


@pytest.mark.parametrize("wrap", [lambda function: function, langchain_tool])
@pytest.mark.parametrize(
    ("function", "parameter", "instead"),
    [
        (with_state, "state", r"graph's state.*run_context\(\)"),
        (with_field, "messages", r"graph's state.*run_context\(\)"),
        (with_store, "store", r"graph's store.*Transaction"),
        (with_runtime, "runtime", r"ToolRuntime.*run_context\(\).*InjectedToolCallId.*report_progress"),
        (with_typed_runtime, "runtime", r"ToolRuntime.*run_context\(\)"),
        (with_whatever, "whatever", "Give it a default"),
    ],
)
def test_what_a_tool_is_not_given_is_refused_before_any_call_with_what_to_do_instead(
    wrap: Callable[[Any], Any], function: Any, parameter: str, instead: str
) -> None:
    with pytest.raises(ValueError, match=f"'{function.__name__}': its parameter '{parameter}'.*{instead}"):
        contracted(wrap(function))


def test_a_schema_or_a_class_that_asks_for_the_state_is_refused_too() -> None:
    class Arguments(BaseModel):
        name: str
        state: Annotated[dict[str, Any], InjectedState]

    class Stateful(BaseTool):
        name: str = "stateful"
        description: str = "Use the state."
        args_schema: Any = Arguments

        def _run(self, name: str, state: Any) -> str:
            return f"{name}{state}"

    with pytest.raises(ValueError, match="'stateful': its parameter 'state' asks for the graph's state"):
        contract(Stateful())


async def test_an_injected_argument_with_a_default_keeps_it() -> None:
    class Defaulted(BaseTool):
        name: str = "defaulted"
        description: str = "Use a default."

        def _run(self, name: str, limit: Annotated[int, InjectedToolArg] = 3) -> str:
            return f"{name} {limit}"

    def defaulted(name: str, limit: Annotated[int, InjectedToolArg] = 3) -> str:
        """Use a default."""
        return f"{name} {limit}"

    for tool in (Defaulted(), defaulted, langchain_tool(defaulted)):
        assert (await told(tool, {"name": "Bo"})).text == "Bo 3"
        assert (await told(tool, {"name": "Bo", "limit": 4})).artifact["outcome"] == "invalid"


def commands() -> Command[str]:
    """Command the graph."""
    return Command(update={"messages": []}, goto="elsewhere")


def commands_in_a_list() -> list[Any]:
    """Command the graph."""
    return [commands(), ToolMessage("moved", tool_call_id="call_1")]


@pytest.mark.parametrize("wrap", [lambda function: function, langchain_tool])
@pytest.mark.parametrize("function", [commands, commands_in_a_list])
async def test_a_command_is_no_result_and_the_observation_says_so(
    wrap: Callable[[Any], Any], function: Any
) -> None:
    message = await told(wrap(function), {})
    assert (message.status, message.artifact["outcome"]) == ("error", "error")
    assert "it is a LangGraph Command" in message.text
    assert "Return text, JSON or a tools.contract.ToolResult" in message.text
    assert "elsewhere" not in message.text


class Aliased(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)

    user_id: int
    note_text: str = Field(default="none", validation_alias=AliasChoices("note", "text"))

    @field_validator("user_id")
    @classmethod
    def next_one(cls, value: int) -> int:
        """Change the value, so that to validate twice is seen."""
        if value < 0:
            raise ValueError("it is negative")
        return value + 1


class AliasedTool(BaseTool):
    name: str = "aliased"
    description: str = "Take aliases."
    args_schema: Any = Aliased
    calls: int = 0

    def _run(self, user_id: int, note_text: str = "") -> str:
        self.calls += 1
        return f"{user_id} {note_text}"


def take(user_id: int, note_text: str = "") -> str:
    """Take aliases."""
    return f"{user_id} {note_text}"


async def take_async(user_id: int, note_text: str = "") -> str:
    """Take aliases."""
    return take(user_id, note_text)


@pytest.mark.parametrize(
    "tool",
    [
        StructuredTool.from_function(take, args_schema=Aliased),
        StructuredTool.from_function(coroutine=take_async, args_schema=Aliased),
        AliasedTool(),
    ],
)
async def test_a_tool_is_shown_and_called_by_its_aliases_and_validated_once(tool: BaseTool) -> None:
    assert list(contract(tool).arguments_schema()["properties"]) == ["userId", "note"]
    assert (await told(tool, {"userId": 1, "note": "a"})).text == "2 a"
    assert (await told(tool, {"userId": 1, "text": "b"})).text == "2 b"
    assert (await told(tool, {"userId": 1})).text == "2 none"
    by_name = await told(tool, {"user_id": 1})
    assert "userId: Field required" in by_name.text
    invalid = await told(tool, {"userId": -1})
    assert invalid.artifact["outcome"] == "invalid"
    assert "userId: Value error, it is negative (given: -1)" in invalid.text


async def test_a_langchain_tool_keeps_its_state_where_its_owner_sees_it() -> None:
    tool = AliasedTool()
    await told(tool, {"userId": 1})
    assert tool.calls == 1


async def test_a_validator_that_breaks_is_an_observation() -> None:
    class Broken(BaseModel):
        name: str

        @field_validator("name")
        @classmethod
        def broken(cls, value: str) -> str:
            raise KeyError(value)

    def named(name: str) -> str:
        """Name it."""
        return name

    message = await told(StructuredTool.from_function(named, args_schema=Broken), {"name": "Bo"})
    assert message.artifact["outcome"] == "invalid"
    assert message.text == "The arguments of named can't be validated: KeyError: 'Bo'"


kinds = st.tuples(st.sampled_from([None, "alias", "validation_alias"]), st.booleans())


@st.composite
def schemas(draw: st.DrawFn) -> type[BaseModel]:
    """Make a schema with aliases of every kind."""
    made: dict[str, Any] = {}
    for name, (kind, optional) in draw(st.dictionaries(st.sampled_from(NAMES), kinds, min_size=1)).items():
        alias: dict[str, Any] = {kind: f"{name}-alias"} if kind else {}
        made[name] = (int, Field(7 if optional else ..., **alias))
    config = ConfigDict(
        populate_by_name=draw(st.booleans()),
        alias_generator=to_camel if draw(st.booleans()) else None,
        extra="forbid",
    )
    return create_model("Given", __config__=config, **made)


@st.composite
def arguments_of(draw: st.DrawFn, model: type[BaseModel]) -> dict[str, Any]:
    """Make arguments that are often valid, under names and aliases."""
    names = {name: [name, f"{name}-alias", to_camel(name)] for name in model.model_fields}
    if draw(st.booleans()):
        return {draw(st.sampled_from(keys)): draw(st.integers(0, 9)) for keys in names.values()}
    keys = sorted({key for those in names.values() for key in those})
    values = st.integers(0, 9) | st.just("no")
    return draw(st.dictionaries(st.sampled_from(keys), values, max_size=len(names) + 1))


class Taker:
    """What becomes of a call, as a tool of one of three kinds."""

    def __init__(self, model: type[BaseModel], way: int) -> None:
        self.taken: list[dict[str, Any]] = []
        taker = self

        class Taking(BaseTool):
            name: str = "take"
            description: str = "Take it."
            args_schema: Any = model

            def _run(self, **given: Any) -> str:
                return taker.take(**given)

        described: dict[str, Any] = {"name": "take", "description": "Take it.", "args_schema": model}
        self.tool: BaseTool = (
            Taking(),
            StructuredTool(func=self.take, **described),
            StructuredTool(coroutine=self.take_async, **described),
        )[way]

    def take(self, **given: Any) -> str:
        self.taken.append(given)
        return "taken"

    async def take_async(self, **given: Any) -> str:
        return self.take(**given)


@EXAMPLES
@given(data=st.data(), model=schemas(), way=st.integers(0, 2))
def test_what_is_valid_by_the_schema_reaches_the_function_and_nothing_else_does(
    data: st.DataObject, model: type[BaseModel], way: int
) -> None:
    arguments = data.draw(arguments_of(model))
    taker = Taker(model, way)
    message = asyncio.run(told(taker.tool, arguments))
    try:
        valid = model.model_validate(arguments)
    except ValueError:
        assert message.artifact["outcome"] == "invalid"
        assert taker.taken == []
    else:
        assert message.text == "taken"
        assert taker.taken == [valid.model_dump()]
