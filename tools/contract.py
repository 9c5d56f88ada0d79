"""The tool contract: one declaration of what a tool does, how long it may take, what repeats it bears."""

import asyncio
import inspect
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, cast

from langchain_core.tools import BaseTool, StructuredTool
from pydantic import BaseModel

from core.protocols import Example
from core.state import Source

Effect = Literal["read", "unsafe"]
"""What a call may change: `read` changes nothing and may be repeated, `unsafe` can't tell and may not."""


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool hands back when text alone is not enough.

    Attributes:
        text: for the model.
        sources: passages that an answer may cite.
    """

    text: str
    sources: tuple[Source, ...] = ()


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool under contract. Made by `contract`.

    Attributes:
        arguments: validates a call; refuses fields it does not know.
        run: takes the validated arguments by name.
        effect: what a call may change.
        timeout_s: most seconds of one attempt.
        max_attempts: attempts at a call that fails transiently; more than 1 for `read` only.
        max_result_chars: a longer result is cut, with a note that says so.
        examples: questions that call for this tool, for models that plan by schema.
    """

    name: str
    description: str
    arguments: type[BaseModel]
    run: Callable[..., Awaitable[Any]]
    effect: Effect = "unsafe"
    timeout_s: float = 30.0
    max_attempts: int = 1
    max_result_chars: int = 20_000
    examples: tuple[Example, ...] = field(default=())

    def __post_init__(self) -> None:
        """Refuse a declaration that contradicts itself."""
        if self.timeout_s <= 0:
            raise ValueError(f"tool {self.name!r}: timeout_s is {self.timeout_s}, expected more than 0")
        if self.max_attempts < 1:
            raise ValueError(f"tool {self.name!r}: max_attempts is {self.max_attempts}, expected 1 or more")
        if self.max_attempts > 1 and self.effect != "read":
            raise ValueError(
                f"tool {self.name!r}: max_attempts is {self.max_attempts}, but its effect is {self.effect!r} "
                "and a repeat could do it twice. Declare effect='read' if it changes nothing."
            )

    def arguments_schema(self) -> dict[str, Any]:
        """Return the JSON schema of the arguments."""
        return self.arguments.model_json_schema()


_UNNAMED = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
AnyTool = Tool | BaseTool | Callable[..., Any]
"""What factories accept: a contracted tool, a LangChain tool, or a plain function with a docstring."""


def contract(  # noqa: PLR0913 - one declaration, every part of it named at the call
    tool: BaseTool | Callable[..., Any],
    *,
    effect: Effect = "unsafe",
    timeout_s: float = 30.0,
    max_attempts: int | None = None,
    max_result_chars: int = 20_000,
    examples: tuple[Example, ...] = (),
) -> Tool:
    """Put a function or a LangChain tool under contract.

    A function's name, docstring and annotations become the tool's name, description and arguments. A
    synchronous function runs in a thread. The defaults are the safe ones: effects unknown, no retry.

    Args:
        tool: the function or LangChain tool.
        effect: what a call may change.
        timeout_s: most seconds of one attempt.
        max_attempts: default 3 for `read`, 1 otherwise.
        max_result_chars: a longer result is cut.
        examples: questions that call for this tool.

    Raises:
        ValueError: the function has no docstring, or the declaration contradicts itself.
    """
    structured = tool if isinstance(tool, BaseTool) else _structured(tool)
    return Tool(
        name=structured.name,
        description=structured.description,
        arguments=_strict(structured),
        run=_runner(structured, is_ours=structured is not tool),
        effect=effect,
        timeout_s=timeout_s,
        max_attempts=max_attempts if max_attempts is not None else (3 if effect == "read" else 1),
        max_result_chars=max_result_chars,
        examples=examples,
    )


def contracted(tool: AnyTool) -> Tool:
    """Return `tool` under contract, with the safe defaults where it has none."""
    return tool if isinstance(tool, Tool) else contract(tool)


def _structured(function: Callable[..., Any]) -> StructuredTool:
    if not (inspect.getdoc(function) or "").strip():
        raise ValueError(
            f"function {function!r} has no docstring; the model needs one to know what the tool does"
        )
    if unnamed := [p.name for p in inspect.signature(function).parameters.values() if p.kind in _UNNAMED]:
        raise ValueError(f"function {function!r} takes {unnamed}; a model can only fill in named arguments")
    is_async = inspect.iscoroutinefunction(function)
    return StructuredTool.from_function(
        func=None if is_async else function,
        coroutine=function if is_async else None,
        parse_docstring="Args:" in (inspect.getdoc(function) or ""),
    )


def _strict(tool: BaseTool) -> type[BaseModel]:
    """Return the tool's argument model, made to refuse fields it does not know."""
    schema = tool.tool_call_schema
    if not (isinstance(schema, type) and issubclass(schema, BaseModel)):
        raise TypeError(
            f"tool {tool.name!r} has arguments of type {schema!r}; expected a Pydantic model as args_schema"
        )
    config: dict[str, Any] = {**schema.model_config, "extra": "forbid"}
    body = {"model_config": config, "__doc__": schema.__doc__, "__module__": schema.__module__}
    return cast("type[BaseModel]", type(schema.__name__, (schema,), body))


def _runner(tool: BaseTool, *, is_ours: bool) -> Callable[..., Awaitable[Any]]:
    if is_ours and isinstance(tool, StructuredTool):
        return tool.coroutine or partial(_in_thread, tool.func)

    async def run(**arguments: Any) -> ToolResult:
        # As a call, so that LangChain injects what the tool asks of it and keeps artifacts from the model.
        message = await tool.ainvoke(
            {"type": "tool_call", "name": tool.name, "args": arguments, "id": f"call_{uuid.uuid4().hex}"}
        )
        return ToolResult(message.text)

    return run


async def _in_thread(function: Callable[..., Any] | None, **arguments: Any) -> Any:
    """Run a synchronous function in a thread. What only has a meaning within one becomes an error."""

    def call() -> Any:
        if function is None:
            raise TypeError("the tool has no function to call")
        try:
            return function(**arguments)
        except StopIteration as error:
            raise RuntimeError("the tool raised StopIteration") from error

    return await asyncio.to_thread(call)
