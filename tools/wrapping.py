"""What turns functions and LangChain tools into something to run and something to validate by."""

import asyncio
import inspect
import uuid
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, cast

from langchain_core.tools import BaseTool, StructuredTool
from pydantic import BaseModel

from core.errors import ToolError

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


def strict_arguments(tool: BaseTool) -> type[BaseModel]:
    """Return the model of the arguments that a model fills in, made to refuse fields it does not know.

    Raises:
        TypeError: the tool describes its arguments by something other than a Pydantic model.
    """
    schema = tool.tool_call_schema
    if not (isinstance(schema, type) and issubclass(schema, BaseModel)):
        raise TypeError(
            f"tool {tool.name!r} has arguments of type {schema!r}; expected a Pydantic model as args_schema"
        )
    config: dict[str, Any] = {**schema.model_config, "extra": "forbid"}
    body = {"model_config": config, "__doc__": schema.__doc__, "__module__": schema.__module__}
    return cast("type[BaseModel]", type(schema.__name__, (schema,), body))


def runner(tool: BaseTool, *, is_ours: bool) -> Callable[..., Awaitable[Any]]:
    """Return what runs the tool: the function itself where the wrapping is ours, else LangChain's way."""
    if is_ours and isinstance(tool, StructuredTool):
        return tool.coroutine or partial(_in_thread, tool.func)

    async def run(**arguments: Any) -> str:
        # As a call, so that LangChain injects what the tool asks of it and keeps artifacts from the model.
        message = await tool.ainvoke(
            {"type": "tool_call", "name": tool.name, "args": arguments, "id": f"call_{uuid.uuid4().hex}"}
        )
        if message.status == "error":
            raise ToolError(message.text)
        return cast("str", message.text)

    return run


async def _in_thread(function: Callable[..., Any] | None, /, **arguments: Any) -> Any:
    """Run a synchronous function in a thread. What only has a meaning within one becomes an error."""

    def call() -> Any:
        if function is None:
            raise TypeError("the tool has no function to call")
        try:
            return function(**arguments)
        except StopIteration as error:
            raise RuntimeError("the tool raised StopIteration") from error

    return await asyncio.to_thread(call)
