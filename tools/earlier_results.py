"""The tool that opens a long result again, of which the model sees but the beginning."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from langchain_core.messages import AnyMessage, ToolMessage
from langgraph._internal._constants import CONFIG_KEY_READ  # no public name; `ToolNode` injects state by it
from langgraph.config import get_config
from pydantic import Field

from core.errors import ToolError
from core.process import current_process
from memory.view import OPEN_RESULT
from tools.contract import Tool, contract

MAX_CHARS = 4_000
"""How much of a result one call opens."""
_FIND = """
select result from boring.tool_call
where thread_id = %(thread)s and result is not null and call_id like 'call\\_' || %(call)s || '%%'
    and (thread_id <> '' or run_id = %(run)s)
order by started_at desc limit 1
"""


async def open_result(
    call: Annotated[str, Field(pattern="^[0-9a-f]{12}$", description="the call, as its reference names it")],
    start: Annotated[int, Field(ge=0, description="the character to read on from")] = 0,
) -> str:
    """Read more of the result of an earlier tool call of which only a part is shown."""
    places = get_config().get("configurable", {})
    wanted = {"thread": places.get("thread_id") or "", "run": str(places.get("run_id")), "call": call}
    text = _said(call, places) or await _logged(wanted)
    if text is None:
        raise ToolError(f"there is no result of a call {call!r} in this conversation; a reference names it")
    left = max(0, len(text) - start - MAX_CHARS)
    more = f"\n[{left} characters more; go on with start={start + MAX_CHARS}.]" if left else ""
    return f"{text[start : start + MAX_CHARS]}{more}"


def _said(call: str, places: Mapping[str, Any]) -> str | None:
    """Return a result as the conversation holds it: whole, where the log of calls has no private data."""
    read = places.get(CONFIG_KEY_READ)
    messages: Sequence[AnyMessage] = (read("messages") if read else None) or ()
    for message in reversed(messages):
        if isinstance(message, ToolMessage) and message.tool_call_id.startswith(f"call_{call}"):
            return message.text
    return None


async def _logged(wanted: Mapping[str, str]) -> str | None:
    database = await (await current_process()).database()
    async with database.pool.connection() as connection:
        row = await (await connection.execute(_FIND, wanted)).fetchone()
    return row["result"] if row else None


def with_earlier_results(tools: Sequence[Tool]) -> list[Tool]:
    """Return the tools with `open_result` among them, which a model is offered once there is a reference."""
    if any(tool.name == OPEN_RESULT for tool in tools):
        return list(tools)
    return [*tools, contract(open_result, effect="read", timeout_s=15, max_result_chars=MAX_CHARS + 200)]
