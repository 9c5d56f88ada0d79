"""What happens around a tool call: validation, breaker, slot, time limit, retries, journal, size limit."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from weakref import WeakKeyDictionary

from langchain_core.messages import ToolCall, ToolMessage

from core.state import OpenQuestion
from core.text import storable, storable_text
from guardrails.approval import PolicyError
from guardrails.chain import Roles
from guardrails.repetition import REPEATED
from memory.approvals import approval_by_key
from memory.plans import PlanRecord
from memory.view import OPEN_RESULT
from observability.spans import end_of_call, tool_span
from tools.actions import Action
from tools.approving import Approved, Asker, Asking, approved, checked_roles
from tools.attempt_values import each_anew
from tools.attempts import Attempted, attempted, report
from tools.breakers import Breakers, Refusal
from tools.contract import Tool
from tools.injection import filled_in
from tools.journal import Journal
from tools.performing import Performance, perform, unasked
from tools.records import CallRecord, Outcome, result_message
from tools.results import MAX_FAILURE_CHARS, busy_text, cut, shortened
from tools.slots import Slot
from tools.validating import validated


@dataclass(frozen=True, slots=True)
class CallScope:
    """Where a call stands.

    Attributes:
        step: the step of the turn, for the record.
        time_limit_s: most seconds for waiting and all attempts together.
        thread_id: empty for a run without a checkpointer, which can't wait for a person.
        run_id: the run.
        plan: the plan that the call is part of, where it is not known to be durable.
        earlier: how often the turn has made the same call before.
        duplicate_of: the call of the same message that this one repeats.
        siblings: the ids of all calls of the same message.
        again: an equal call stands before it in the same message.
        journal: needed by every tool that is no `read`.
        breakers: unset, no call is refused for the tool's past.
        user: who asked the agent, and so for the call.
        tenant: of the user.
    """

    step: int
    time_limit_s: float
    thread_id: str = ""
    run_id: str = ""
    plan: PlanRecord | None = None
    earlier: int = 0
    duplicate_of: str | None = None
    siblings: tuple[str, ...] = ()
    again: bool = False
    journal: Journal | None = None
    breakers: Breakers | None = None
    user: str = ""
    tenant: str = ""


class ToolRuntime:
    """Runs the calls of a fixed set of tools; `others` are names that the model can call beside them."""

    def __init__(
        self, tools: Sequence[Tool], *, others: Sequence[str] = (), roles: Roles | None = None
    ) -> None:
        names = [tool.name for tool in tools]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"tools share the names {twice}; the model could not tell them apart")
        self._others = others
        self.tools: Mapping[str, Tool] = {tool.name: tool for tool in tools}
        self._roles = checked_roles(tools, roles)
        self._slots: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, asyncio.Semaphore]] = (
            WeakKeyDictionary()
        )

    @property
    def has_effects(self) -> bool:
        """Whether any of the tools changes something."""
        return any(tool.effect != "read" for tool in self.tools.values())

    @property
    def may_ask(self) -> bool:
        """Whether a call can come to need a person: its approval, or what became of it."""
        may_be_in_doubt = {"unsafe", "idempotent"}
        return any(tool.asks or tool.effect in may_be_in_doubt for tool in self.tools.values())

    def needs_journal(self, name: str) -> bool:
        """Tell whether a call of the tool may have to be recorded or asked for; unknown tools don't."""
        tool = self.tools.get(name)
        return tool is not None and (tool.effect != "read" or tool.asks)

    async def call(self, call: ToolCall, scope: CallScope) -> ToolMessage | OpenQuestion:
        """Run one call; return what the model sees of it, or what has to be asked of a person first.

        The message has its `CallRecord` as artifact. A failure of any kind becomes a message of status
        `error`; only cancellation, graph interrupts and a lost thread or database pass through.

        Raises:
            ThreadBusyError: another worker has taken the thread over.
        """
        started_at = datetime.now(UTC)
        begun = time.perf_counter()
        with tool_span(shortened(call["name"]), call["id"] or "", call["args"]) as span:
            outcome = await self._outcome(call, scope)
            if isinstance(outcome, Outcome):
                end_of_call(span, outcome.ended, arguments=outcome.arguments, result=outcome.text)
            else:
                end_of_call(span, "interrupted")
        if not isinstance(outcome, Outcome):
            return outcome
        return self._message(call, scope, outcome, started_at, time.perf_counter() - begun)

    def _message(
        self, call: ToolCall, scope: CallScope, outcome: Outcome, started_at: datetime, seconds: float
    ) -> ToolMessage:
        failed = outcome.ended != "ok"
        text = storable_text(cut(outcome.text, MAX_FAILURE_CHARS) if failed else outcome.text)
        if failed and scope.earlier:
            text += f"{REPEATED}{scope.earlier + 1} times. Change it, or answer without it."
        tool = self.tools.get(call["name"])
        record = CallRecord(
            call_id=call["id"] or "",
            tool=shortened(call["name"]),
            effect=tool.effect if tool is not None else None,
            arguments=storable(call["args"] if outcome.arguments is None else outcome.arguments),
            step=scope.step,
            attempt=outcome.attempt,
            outcome=outcome.ended,
            error=text if failed else None,
            started_at=started_at.isoformat(),
            latency_ms=round(seconds * 1000, 3),
            sources=storable(outcome.sources),
            key=outcome.key,
            replayed=outcome.replayed,
            approved_by=outcome.approved_by,
        )
        if outcome.edited_by is not None:
            record["edited_by"] = outcome.edited_by
        if outcome.settled_by is not None:
            record["settled_by"] = outcome.settled_by
        return result_message(record, text)

    async def _outcome(self, call: ToolCall, scope: CallScope) -> Outcome | OpenQuestion:
        tool = self.tools.get(call["name"])
        if tool is None:
            known = ", ".join(sorted({*self.tools, *self._others} - {OPEN_RESULT})) or "none"
            text = f"There is no tool {shortened(call['name'])!r}. The tools are: {known}."
            return Outcome("unknown_tool", text)
        if scope.duplicate_of is not None:
            return Outcome("duplicate", "This call was given twice in one message; it was made once.")
        values = validated(tool, call["args"])
        if isinstance(values, str):
            return Outcome("invalid", values)
        action = Action(
            thread_id=scope.thread_id,
            run_id=scope.run_id,
            call_id=call["id"] or "",
            tool=tool.name,
            effect=tool.effect,
            arguments=call["args"],
            siblings=scope.siblings,
            again=scope.again,
        )
        done = await self._admitted(tool, values, action, scope)
        if isinstance(done, Outcome):
            return done
        return await _asked(tool, done, scope)

    async def _admitted(
        self, tool: Tool, values: Mapping[str, Any], action: Action, scope: CallScope
    ) -> Outcome | OpenQuestion | Asking:
        """Make a call that the breaker and people let through; nobody is asked about one that it refuses."""
        breakers, name = scope.breakers, f"tool:{tool.name}"
        refusal = await breakers.admit(name) if breakers is not None else None
        if refusal is not None and not await _is_pending(tool, action, scope):
            return Outcome("refused", refusal.message)
        try:
            return await self._approved(tool, values, action, scope, refusal=refusal)
        finally:
            if breakers is not None:
                await breakers.give_back(name)

    async def _approved(
        self,
        tool: Tool,
        values: Mapping[str, Any],
        action: Action,
        scope: CallScope,
        *,
        refusal: Refusal | None,
    ) -> Outcome | OpenQuestion | Asking:
        verdict = Approved(action.arguments, values)
        if tool.asks:
            asker = Asker(scope.user, scope.tenant, self._roles)
            database = _journal(tool, scope).database
            try:
                asked = await approved(tool, values, action, database=database, asker=asker)
            except PolicyError as error:
                return Outcome("rejected", f"This call of {tool.name} was not made: {error}.")
            if not isinstance(asked, Approved):
                return asked
            verdict, action = asked, replace(action, arguments=asked.arguments)
        if refusal is not None and not await _has_begun(action, scope):
            return Outcome("refused", refusal.message)
        outcome = await self._in_slot(tool, verdict.values, action, scope)
        return verdict.told(outcome) if isinstance(outcome, Outcome) else outcome

    async def _in_slot(
        self, tool: Tool, values: Mapping[str, Any], action: Action, scope: CallScope
    ) -> Outcome | OpenQuestion:
        slot, values = Slot(self._free(tool)), each_anew(values)
        # What was begun before may be done already: to find that out needs no slot, only to make the call.
        begun = tool.effect != "read" and not slot.at_once and await _has_begun(action, scope)
        left_s = scope.time_limit_s if begun else await slot.take(scope.time_limit_s)
        if left_s is None:
            return Outcome("timeout", busy_text(tool.name, scope.time_limit_s))
        try:
            if tool.effect == "read":
                run, injected = slot.holding(tool.run), filled_in(tool.injected, action)
                done = await attempted(tool, lambda: run(**values, **injected), time_limit_s=left_s)
                outcome = _of_read(tool, done)
            else:
                call = Performance(tool, action, values, scope.plan, left_s, slot)
                outcome, done = await perform(_journal(tool, scope), call)
        finally:
            slot.leave()
        if done is not None:
            await report(done, tool.name, scope.breakers, scope.step)
        return outcome

    def _free(self, tool: Tool) -> asyncio.Semaphore:
        of_loop = self._slots.setdefault(asyncio.get_running_loop(), {})
        if tool.name not in of_loop:
            of_loop[tool.name] = asyncio.Semaphore(tool.max_concurrency)
        return of_loop[tool.name]


async def _has_begun(action: Action, scope: CallScope) -> bool:
    """Tell whether the call was made before: then what became of it counts, not whether it may be made."""
    return scope.journal is not None and await scope.journal.is_known(action.key)


async def _is_pending(tool: Tool, action: Action, scope: CallScope) -> bool:
    """Tell whether the call was made before, or people have been asked about it."""
    if await _has_begun(action, scope):
        return True
    return tool.asks and await approval_by_key(_journal(tool, scope).database, action.key) is not None


async def _asked(tool: Tool, asking: OpenQuestion | Asking, scope: CallScope) -> Outcome | OpenQuestion:
    journal, request = _journal(tool, scope), None
    question = asking
    if isinstance(question, Asking):
        question, request = question.question, question.request
    if scope.thread_id:
        where = {"thread_id": scope.thread_id, "run_id": scope.run_id}
        await journal.ask(question, scope.plan, request=request, **where)
        return question
    if question["kind"] == "approval":
        text = f"{tool.name} needs a person's approval, and this agent can't wait: it has no checkpointer."
        return Outcome("rejected", text)
    return await unasked(journal, question, tool.name)


def _journal(tool: Tool, scope: CallScope) -> Journal:
    if scope.journal is None:
        raise TypeError(f"tool {tool.name!r} has the effect {tool.effect!r}: its call needs a journal")
    return scope.journal


def _of_read(tool: Tool, done: Attempted) -> Outcome:
    if done.result is not None:
        text = cut(done.result.text, tool.max_result_chars, tool.rest)
        return Outcome("ok", text, done.attempts, done.result.sources)
    if done.failure is None:
        return Outcome("error", done.unreadable or "", done.attempts)
    return Outcome("timeout" if done.failure.timed_out else "error", done.failure.text, done.attempts)
