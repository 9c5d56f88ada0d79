"""What happens around a tool call: validation, time limit, retries where they are safe, size limit."""

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
from langchain_core.messages import ToolCall, ToolMessage
from langgraph.errors import GraphBubbleUp
from pydantic import BaseModel, ValidationError
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential
from typing_extensions import TypedDict

from core.errors import ToolError, TransientError
from core.state import Source
from core.text import storable, storable_text
from tools.contract import Tool, ToolResult

TRANSIENT = (TransientError, TimeoutError, ConnectionError, httpx.TransportError)
"""Failures that may pass by themselves."""
RETRY_BASE_S = 0.2
RETRY_MAX_S = 5.0


class CallRecord(TypedDict):
    """What is known of a finished call. Travels as the `artifact` of its `ToolMessage`."""

    call_id: str
    tool: str
    arguments: dict[str, Any]
    step: int
    attempt: int
    """Attempts made; 0 where the call never reached the tool."""
    outcome: str
    """One of ok, error, timeout, invalid, unknown_tool."""
    error: str | None
    started_at: str
    latency_ms: float
    sources: list[Source]


@dataclass(frozen=True, slots=True)
class _Outcome:
    outcome: str
    text: str
    attempt: int
    sources: tuple[Source, ...] = ()


class ToolRuntime:
    """Runs the calls of a fixed set of tools."""

    def __init__(self, tools: Sequence[Tool]) -> None:
        names = [tool.name for tool in tools]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"tools share the names {twice}; the model could not tell them apart")
        self.tools: Mapping[str, Tool] = {tool.name: tool for tool in tools}

    async def call(self, call: ToolCall, *, step: int, time_limit_s: float) -> ToolMessage:
        """Run one call and return what the model sees of it, with its `CallRecord` as artifact.

        A failure of any kind becomes a message of status `error`; only cancellation and graph interrupts
        pass through.

        Args:
            call: as the plan holds it.
            step: the step of the turn, for the record.
            time_limit_s: most seconds for all attempts together.
        """
        started_at = datetime.now(UTC)
        begun = time.perf_counter()
        outcome = await self._outcome(call, time_limit_s)
        failed = outcome.outcome != "ok"
        text = storable_text(outcome.text)
        record = CallRecord(
            call_id=call["id"] or "",
            tool=call["name"],
            arguments=storable(call["args"]),
            step=step,
            attempt=outcome.attempt,
            outcome=outcome.outcome,
            error=text if failed else None,
            started_at=started_at.isoformat(),
            latency_ms=round((time.perf_counter() - begun) * 1000, 3),
            sources=storable(outcome.sources),
        )
        return ToolMessage(
            content=text,
            tool_call_id=call["id"],
            name=call["name"],
            status="error" if failed else "success",
            artifact=record,
        )

    async def _outcome(self, call: ToolCall, time_limit_s: float) -> _Outcome:
        tool = self.tools.get(call["name"])
        if tool is None:
            known = ", ".join(sorted(self.tools)) or "none"
            return _Outcome("unknown_tool", f"There is no tool {call['name']!r}. The tools are: {known}.", 0)
        try:
            arguments = tool.arguments.model_validate(call["args"])
        except ValidationError as error:
            return _Outcome("invalid", describe_invalid(tool, error), 0)
        return await _run(tool, arguments, time_limit_s)


async def _run(tool: Tool, arguments: BaseModel, time_limit_s: float) -> _Outcome:
    values = {name: getattr(arguments, name) for name in type(arguments).model_fields}
    limit = min(tool.timeout_s * tool.retry.max_attempts, time_limit_s)
    retrying = AsyncRetrying(
        stop=stop_after_attempt(tool.retry.max_attempts),
        wait=wait_random_exponential(multiplier=RETRY_BASE_S, max=RETRY_MAX_S),
        retry=retry_if_exception_type(TRANSIENT),
        reraise=True,
    )

    async def attempt() -> ToolResult:
        async with asyncio.timeout(tool.timeout_s):
            return as_result(await tool.run(**values))

    def attempts() -> int:
        return int(retrying.statistics.get("attempt_number", 1))

    try:
        async with asyncio.timeout(limit):
            result = await retrying(attempt)
    except GraphBubbleUp:
        raise
    except TimeoutError:
        return _Outcome("timeout", f"{tool.name} gave no result within {limit:g} s.", attempts())
    except ToolError as error:
        return _Outcome("error", str(error), attempts())
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        return _Outcome("error", f"{tool.name} cancelled itself.", attempts())
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a tool raises is an observation, not the end of the run
        return _Outcome("error", f"{tool.name} failed: {type(error).__name__}: {error}", attempts())
    return _Outcome("ok", cut(result.text, tool.max_result_chars), attempts(), result.sources)


def as_result(value: Any) -> ToolResult:
    """Return what a tool returned as a `ToolResult`; values that are not text become JSON."""
    if isinstance(value, ToolResult):
        return value
    if isinstance(value, str):
        return ToolResult(value)
    if isinstance(value, BaseModel):
        return ToolResult(value.model_dump_json())
    return ToolResult(json.dumps(value, ensure_ascii=False, default=str))


def cut(text: str, max_chars: int) -> str:
    """Return `text`, cut to `max_chars` characters with a note that says how much is missing."""
    if len(text) <= max_chars:
        return text
    return f"{text[:max_chars]}\n[cut: {len(text) - max_chars} of {len(text)} characters left out]"


def describe_invalid(tool: Tool, error: ValidationError) -> str:
    """Phrase a validation error so that a model can repair its call."""
    lines = [f"The arguments of {tool.name} are not valid:"]
    for item in error.errors(include_url=False):
        where = ".".join(str(part) for part in item["loc"]) or "arguments"
        given = "" if item["type"] == "missing" else f" (given: {cut(repr(item['input']), 80)})"
        lines.append(f"- {where}: {item['msg']}{given}")
    lines.append(f"Expected: {json.dumps(tool.arguments_schema().get('properties', {}))}")
    return "\n".join(lines)
