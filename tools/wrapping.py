"""What turns functions and LangChain tools into something to run and something to validate by."""

import inspect
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, cast

from langchain_core.messages import ToolCall, ToolMessage
from langchain_core.tools import BaseTool, StructuredTool
from langchain_core.tools import Tool as SingleInputTool
from pydantic import BaseModel, BeforeValidator
from pydantic.fields import FieldInfo
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import PydanticCustomError

from core.errors import ToolError
from tools.injection import CALL_PARAMETER
from tools.slots import Threaded

_UNNAMED = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def as_langchain_tool(tool: BaseTool | Callable[..., Any]) -> BaseTool:
    """Return `tool` itself, or a tool made of a function's name, docstring and annotations.

    Raises:
        ValueError: the function has no docstring, or takes arguments without names.
    """
    if isinstance(tool, BaseTool):
        return tool
    doc = (inspect.getdoc(tool) or "").strip()
    if not doc:
        raise ValueError(f"function {tool!r} has no docstring; the model needs it to know what the tool does")
    if unnamed := [p.name for p in inspect.signature(tool).parameters.values() if p.kind in _UNNAMED]:
        raise ValueError(f"function {tool!r} takes {unnamed}; a model can only fill in named arguments")
    if inspect.isgeneratorfunction(tool) or inspect.isasyncgenfunction(tool):
        raise ValueError(f"function {tool!r} is a generator; a tool returns its result once, at the end")
    is_async = inspect.iscoroutinefunction(tool)
    return StructuredTool.from_function(
        func=None if is_async else tool,
        coroutine=tool if is_async else None,
        parse_docstring="Args:" in doc,
    )


def strict_arguments(tool: BaseTool, *, is_ours: bool) -> type[BaseModel]:
    """Return the model of the arguments that a model fills in, made to refuse fields it does not know.

    It is the tool's own `args_schema` with its aliases and validators; of what LangChain makes of it for
    models, those are missing.

    Raises:
        TypeError: the tool describes its arguments by something other than a Pydantic model.
    """
    shown = tool.tool_call_schema
    if not (isinstance(shown, type) and issubclass(shown, BaseModel)):
        raise TypeError(
            f"tool {tool.name!r} has arguments of type {shown!r}; expected a Pydantic model as args_schema"
        )
    schema = shown if is_ours else cast("type[BaseModel]", tool.get_input_schema())
    hidden = {name: field for name, field in schema.model_fields.items() if name not in shown.model_fields}
    body: dict[str, Any] = {
        "model_config": {**schema.model_config, "extra": "forbid"},
        "__annotations__": dict.fromkeys(hidden, _HIDDEN),
        "__doc__": shown.__doc__,
        "__module__": schema.__module__,
        **{name: _default_of(field) for name, field in hidden.items()},
    }
    return cast("type[BaseModel]", type(shown.__name__, (schema,), body))


def _unknown(value: Any) -> Any:
    del value
    raise PydanticCustomError("extra_forbidden", "Extra inputs are not permitted")


_HIDDEN = Annotated[SkipJsonSchema[Any], BeforeValidator(_unknown)]
"""A field that is filled in by something else than the model, which does not see it and may not set it."""


def _default_of(field: FieldInfo) -> Any:
    if field.is_required():
        return None
    return FieldInfo(default_factory=field.default_factory) if field.default_factory else field.default


def runner(tool: BaseTool, injected: Mapping[str, str], *, is_ours: bool) -> Callable[..., Awaitable[Any]]:
    """Return what runs the tool: the function itself where the wrapping is ours, else LangChain's way.

    Args:
        tool: what is run.
        injected: the parameters that the runtime fills in.
        is_ours: the tool was made of a function by `as_langchain_tool`.
    """
    if is_ours and isinstance(tool, StructuredTool):
        return tool.coroutine or Threaded(cast("Callable[..., Any]", tool.func))

    def call_of(arguments: Mapping[str, Any]) -> ToolCall:
        call = cast("ToolCall | None", arguments.get(CALL_PARAMETER))
        given = {name: value for name, value in arguments.items() if name != CALL_PARAMETER}
        if call is None:
            return ToolCall(type="tool_call", name=tool.name, args=given, id=f"call_{uuid.uuid4().hex}")
        if tool.args_schema is not None:  # LangChain validates what the model wrote, as was done before
            given = {**call["args"], **{name: given[name] for name in injected if name in given}}
        return {**call, "args": given}

    def run_in_thread(**arguments: Any) -> Any:
        return _result_of(tool.invoke(call_of(arguments)))

    async def run(**arguments: Any) -> Any:
        return _result_of(await tool.ainvoke(call_of(arguments)))

    return Threaded(run_in_thread) if _is_synchronous(tool) else run


def _is_synchronous(tool: BaseTool) -> bool:
    """Tell whether LangChain would run the tool in a thread."""
    if isinstance(tool, (StructuredTool, SingleInputTool)):
        return tool.coroutine is None
    return type(tool)._arun is BaseTool._arun  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - as LangChain finds out


def _result_of(message: Any) -> Any:
    """Return the text of what LangChain made of a result: a message, unless it is no text at all."""
    if not isinstance(message, ToolMessage):
        return message
    if message.status == "error":
        raise ToolError(message.text)
    return message.text
