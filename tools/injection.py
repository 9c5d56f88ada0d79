"""Parameters that the runtime fills in: the model neither sees nor sets them.

async def send(to: str, text: str, key: IdempotencyKey) -> str: ...
async def open_ticket(title: str, transaction: Transaction) -> str: ...
"""

from collections.abc import Mapping
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from langchain_core.tools import BaseTool, InjectedToolArg, StructuredTool
from psycopg import AsyncConnection
from psycopg.rows import DictRow

KEY = "key"
CONNECTION = "connection"


class _Injected(InjectedToolArg):
    """Marks a parameter; `what` is `KEY` or `CONNECTION`."""

    def __init__(self, what: str) -> None:
        self.what = what


IdempotencyKey = Annotated[str, _Injected(KEY)]
"""64 hexadecimal digits, the same for every attempt at the same call, in whatever process."""
Transaction = Annotated[AsyncConnection[DictRow], _Injected(CONNECTION)]
"""The open connection of the journal's transaction; rows are dicts. The runtime commits, the tool never."""


def injected_names(tool: BaseTool) -> Mapping[str, str]:
    """Return the tool's parameters that are filled in, by name, with `KEY` or `CONNECTION`."""
    function = (tool.coroutine or tool.func) if isinstance(tool, StructuredTool) else tool._run  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - where LangChain keeps what a tool class runs
    if function is None:
        return {}
    hints: dict[str, Any] = get_type_hints(function, include_extras=True)
    return {
        name: mark.what
        for name, hint in hints.items()
        if get_origin(hint) is Annotated
        for mark in get_args(hint)[1:]
        if isinstance(mark, _Injected)
    }
