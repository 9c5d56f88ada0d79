"""What became of calls that were cut off, when the user asks something new instead of resuming the run."""

from collections.abc import Sequence

from langchain_core.messages import AnyMessage, ToolMessage

from core.process import current_process
from memory.buffer import calls_without_result
from tools.journal import effects_of_calls

_UNKNOWN = (
    "This call was cut off, and it is not known whether it happened. Do not make it again unless the user "
    "says that it did not."
)


async def results_of_earlier_calls(messages: Sequence[AnyMessage]) -> list[ToolMessage]:
    """Return a result for each call without one that the journal knows of."""
    open_calls = {call["id"] or "": call for call in calls_without_result(messages)}
    if not open_calls:
        return []
    database = await (await current_process()).database()
    known = await effects_of_calls(database, list(open_calls))
    return [
        ToolMessage(
            id=f"result_{call_id}",
            content=recorded.text if recorded is not None else _UNKNOWN,
            tool_call_id=call_id,
            name=open_calls[call_id]["name"],
            status="success" if recorded is not None and recorded.outcome == "ok" else "error",
        )
        for call_id, recorded in known.items()
    ]
