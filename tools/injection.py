"""Parameters that the runtime fills in: the model neither sees nor sets them.

async def send(to: str, text: str, key: IdempotencyKey) -> str: ...
async def open_ticket(title: str, transaction: Transaction) -> str: ...
async def look_up(name: str, call_id: Annotated[str, InjectedToolCallId]) -> str: ...
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Annotated, Any, Final, get_args, get_origin, get_type_hints

from langchain_core.messages import ToolCall
from langchain_core.tools import BaseTool, InjectedToolArg, InjectedToolCallId, StructuredTool
from psycopg import AsyncConnection
from psycopg.rows import DictRow
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from tools.actions import Action

KEY = "key"
CONNECTION = "connection"
CALL_ID = "call_id"
CALL = "call"
CALL_PARAMETER: Final = "<call>"
"""What a LangChain tool gets its call as; no parameter of its own has such a name."""
_RUN_CONTEXT = "tools.context.run_context() tells for which user and tenant a tool runs"
_NOT_HERE: Final = {
    "InjectedState": "the graph's state, and tools do not see that. Let the model hand over what the tool "
    f"needs, as an argument; {_RUN_CONTEXT}.",
    "InjectedStore": "the graph's store, and tools are not given one. Hand the tool a database of its own, "
    f"as an attribute or by closure, or take a tools.injection.Transaction; {_RUN_CONTEXT}.",
    "ToolRuntime": "LangGraph's ToolRuntime, and tools are not given the graph's state and store. "
    f"{_RUN_CONTEXT}; a parameter annotated with InjectedToolCallId gets the call's id, and "
    "tools.progress.report_progress sends news.",
}
"""LangGraph's marks of what a tool is not given here, by name: to import them takes 70 ms."""
_NOBODY: Final = (
    "an InjectedToolArg, which the model does not see, and nobody else fills it in. Give it a default, or "
    "annotate it with IdempotencyKey, Transaction or InjectedToolCallId."
)


class _Injected(InjectedToolArg):
    """Marks a parameter; `what` is `KEY` or `CONNECTION`."""

    def __init__(self, what: str) -> None:
        self.what = what


IdempotencyKey = Annotated[str, _Injected(KEY)]
"""64 hexadecimal digits, the same for every attempt at the same call, in whatever process."""
Transaction = Annotated[AsyncConnection[DictRow], _Injected(CONNECTION)]
"""The open connection of the journal's transaction; rows are dicts. The runtime commits, the tool never."""


def injected_names(tool: BaseTool, *, is_ours: bool) -> Mapping[str, str]:
    """Return the parameters that the runtime fills in, by name, with what it fills them.

    Args:
        tool: its functions and its `args_schema` are looked at.
        is_ours: the tool was made of a function. LangChain's own are also given their call.

    Raises:
        ValueError: a parameter is to be filled in with what a tool is not given here.
    """
    found: dict[str, str] = {} if is_ours else {CALL_PARAMETER: CALL}
    for name, marks in _marks(tool).items():
        names = {kind.__name__ for kind in _kinds(marks)}
        if ours := [mark.what for mark in marks if isinstance(mark, _Injected)]:
            found[name] = ours[0]
        elif InjectedToolCallId in _kinds(marks):
            found[name] = CALL_ID
        elif not names.isdisjoint({"InjectedToolArg", "_DirectlyInjectedToolArg"}):
            known = [what for mark, what in _NOT_HERE.items() if mark in names]
            if known or _is_required(tool, name):
                raise ValueError(
                    f"tool {tool.name!r}: its parameter {name!r} asks for {[*known, _NOBODY][0]}"
                )
    return found


def filled_in(
    injected: Mapping[str, str],
    action: Action,
    *,
    key: str | None = None,
    connection: AsyncConnection[DictRow] | None = None,
) -> dict[str, Any]:
    """Return what the runtime fills in, by parameter.

    Args:
        injected: what each parameter is filled with, as `injected_names` found it.
        action: the call.
        key: the idempotency key, for a call with an effect.
        connection: the journal's transaction, for a transactional call.
    """
    call = ToolCall(type="tool_call", name=action.tool, args=dict(action.arguments), id=action.call_id)
    values = {KEY: key, CONNECTION: connection, CALL_ID: action.call_id, CALL: call}
    return {name: values[what] for name, what in injected.items()}


def _functions(tool: BaseTool) -> list[Callable[..., Any]]:
    if isinstance(tool, StructuredTool):
        return [function for function in (tool.coroutine, tool.func) if function is not None]
    return [tool._run, tool._arun]  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - where LangChain keeps what a tool class runs


def _marks(tool: BaseTool) -> dict[str, list[Any]]:
    """Return what stands in the annotations of the tool's parameters, by name."""
    marks: dict[str, list[Any]] = {}
    for function in _functions(tool):
        while isinstance(function, partial):
            function = function.func  # noqa: PLW2901 - what is within it has the annotations
        hinted = function if inspect.isroutine(function) else type(function).__call__
        for name, hint in get_type_hints(hinted, include_extras=True).items():
            if name != "return":
                marks.setdefault(name, []).extend(_parts(hint))
    for name, field in _fields_of(tool).items():
        marks.setdefault(name, []).extend([*_parts(field.annotation), *field.metadata])
    return marks


def _fields_of(tool: BaseTool) -> dict[str, FieldInfo]:
    """Return the fields of the tool's own schema, with those that the model does not fill in."""
    schema = tool.get_input_schema()
    return schema.model_fields if issubclass(schema, BaseModel) else {}


def _parts(hint: Any) -> Iterator[Any]:
    """Yield an annotation and all that it is made of."""
    yield hint
    if (origin := get_origin(hint)) is not None:
        yield origin
    for part in get_args(hint):
        yield from _parts(part)


def _kinds(marks: list[Any]) -> set[type]:
    return {kind for mark in marks for kind in (mark if isinstance(mark, type) else type(mark)).__mro__}


def _is_required(tool: BaseTool, name: str) -> bool:
    if (field := _fields_of(tool).get(name)) is not None:
        return field.is_required()
    empty = inspect.Parameter.empty
    parameters = [inspect.signature(function).parameters for function in _functions(tool)]
    return any(name in those and those[name].default is empty for those in parameters)
