"""Calls with an effect: done once, whatever happens to the process, the tool or the database meanwhile."""

import asyncio
from collections.abc import Awaitable, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, cast

from langgraph.errors import GraphBubbleUp
from psycopg import AsyncConnection
from psycopg.rows import DictRow
from pydantic_core import to_jsonable_python

from core.errors import ToolError
from core.state import OpenQuestion
from core.text import storable_text
from memory.plans import PlanRecord
from tools.actions import Action, Entry, Recorded
from tools.attempts import Attempted, attempted
from tools.contract import Finding, Tool
from tools.failures import failure_of, is_connection_lost, passing
from tools.injection import filled_in
from tools.journal import Journal
from tools.questions import InDoubtAnswer, find_answer, in_doubt_payload
from tools.records import Ended, Outcome
from tools.results import as_result, busy_text, cut
from tools.slots import Slot
from tools.transactions import in_transaction

_REPEATABLE = " It is not known whether it was done. The same call with the same arguments can be repeated."
_FAILED = " Whether it had its effect before it failed is not known."
_UNASKED = " It is not known whether it was done, and there is nobody to ask. Do not repeat it; say so."
_HOOK = "reconcile"
"""Who settles a doubt where the tool itself can tell."""


@dataclass(frozen=True, slots=True)
class Performance:
    """One call with an effect, on its way.

    Attributes:
        tool: its contract.
        action: what it is.
        values: its validated arguments by name.
        plan: the plan it is part of, where that is not known to be durable.
        time_limit_s: most seconds of all attempts together.
        slot: its place among the calls of the tool; it need not be taken yet.
    """

    tool: Tool
    action: Action
    values: Mapping[str, Any]
    plan: PlanRecord | None
    time_limit_s: float
    slot: Slot


async def perform(journal: Journal, call: Performance) -> tuple[Outcome | OpenQuestion, Attempted | None]:
    """Do what the call says, unless it has been done; return what came of it, or what to ask a person.

    The second value is what the tool did just now, if it was run.

    Raises:
        ThreadBusyError: another worker has taken the thread over.
    """
    if call.tool.effect == "transactional":
        return await _transacted(journal, call)
    equal_by = to_jsonable_python(dict(call.values), fallback=str)
    call = replace(call, action=replace(call.action, equal_by=equal_by))
    with journal.under_way.making(call.action.key):
        return await _performed(journal, call)


async def _performed(journal: Journal, call: Performance) -> tuple[Outcome | OpenQuestion, Attempted | None]:
    entry = await journal.intend(call.action, call.plan)
    if entry.recorded is not None:
        return _replayed(call, entry.recorded, by=_person(entry)), None
    if entry.doubtful is not None or (call.tool.effect != "idempotent" and not entry.fresh):
        settled = await _settled(journal, call, entry)
        if not isinstance(settled, Entry):
            return settled, None
        entry = settled
    return await _carried_out(journal, call, entry)


async def _carried_out(
    journal: Journal, call: Performance, entry: Entry
) -> tuple[Outcome | OpenQuestion, Attempted | None]:
    kept = partial(_kept, journal, call, armed=entry.attempt)
    left_s = await call.slot.take(call.time_limit_s)
    if left_s is None:
        return await kept(_busy(call, entry), 0), None
    injected = filled_in(call.tool.injected, call.action, key=entry.idempotency_key)
    run = call.slot.holding(call.tool.run)
    try:
        done = await attempted(call.tool, lambda: run(**call.values, **injected), time_limit_s=left_s)
    except GraphBubbleUp:
        await journal.withdraw(call.action.key)
        raise
    if done.failure is None or done.failure.happened != "unknown":
        return await kept(_recorded(call.tool, done), done.attempts), done
    if call.tool.effect == "idempotent":
        unknown = Recorded("unknown", done.failure.text + _REPEATABLE, doubt=True)
        return await kept(unknown, done.attempts), done
    finding = await _reconciled(call, entry.idempotency_key)
    # After a timeout the call may still be under way: that it has not happened yet says nothing.
    if finding.happened or (finding.happened is False and not done.failure.timed_out):
        return await kept(_found(call, finding, done), done.attempts), done
    reason = f"{done.failure.text} {as_result(finding.result).text}".strip()
    return _question(call, entry.attempt, reason, datetime.now(UTC).isoformat(timespec="seconds")), done


def _busy(call: Performance, entry: Entry) -> Recorded:
    """Return what is to be said of a call that got no slot; an `idempotent` one may have been made before."""
    if call.tool.effect == "idempotent" and not entry.fresh:
        text = f"{call.tool.name} was called before, and was busy for {call.time_limit_s:g} s now."
        return Recorded("unknown", text + _REPEATABLE, doubt=True)
    return Recorded("timeout", busy_text(call.tool.name, call.time_limit_s))


async def _settled(journal: Journal, call: Performance, entry: Entry) -> Outcome | OpenQuestion | Entry:
    """Settle a doubt that an earlier process left; an entry means that the call is to be made now."""
    answered = await find_answer(journal.database, call.action.key, "in_doubt", entry.attempt)
    if answered is not None:
        answer = cast("InDoubtAnswer", answered.answer)
        await journal.clear_doubts(call.action)
        if answer.outcome == "not_happened":
            return await journal.rearm(call.action, entry)
        ended: Ended = "ok" if answer.outcome == "happened" else "stopped"
        text = answer.result or "It was done." if ended == "ok" else f"{answered.by} stopped the run here."
        kept = await _kept(journal, call, Recorded(ended, text), entry.attempt, by=answered.by)
        return replace(kept, settled_by=answered.by)
    finding = await _looked_up(call, entry)
    if finding.happened is None:
        reason = "Its process ended, or lost the database, before its end was recorded."
        if entry.doubtful is not None:
            reason = (
                f"An equal call was made on this thread before, and nobody knows its end. {entry.doubtful}"
            )
        told = as_result(finding.result).text
        return _question(call, entry.attempt, f"{reason} {told}".strip(), entry.intended_at)
    if finding.happened:
        return await _kept(journal, call, _found(call, finding, None), entry.attempt, by=_HOOK)
    return await journal.rearm(call.action, entry)


async def _looked_up(call: Performance, entry: Entry) -> Finding:
    """Ask the tool's hook what became of a call that an earlier process began.

    What that process has sent may still be under way: that it has not happened counts only once the time
    of the call is over.
    """
    finding = await _reconciled(call, entry.idempotency_key)
    if finding.happened is not False or entry.fresh:
        return finding
    age_s = (datetime.now(UTC) - datetime.fromisoformat(entry.intended_at)).total_seconds()
    if (wait_s := call.tool.timeout_s - age_s) <= 0:
        return finding
    if wait_s > call.time_limit_s:
        return Finding(happened=None, result="It had not happened yet, and may still be under way.")
    await asyncio.sleep(wait_s)
    return await _reconciled(call, entry.idempotency_key)


async def _reconciled(call: Performance, key: str) -> Finding:
    """Ask the tool's own hook; one that fails can't tell."""
    if call.tool.reconcile is None:
        return Finding(happened=None)
    hook = call.tool.reconcile

    async def look_up() -> Finding:
        finding: Any = await hook(deepcopy(dict(call.values)), key)
        if not isinstance(finding, Finding):
            raise TypeError(f"it returned {finding!r}; expected a tools.contract.Finding")
        return Finding(finding.happened, as_result(finding.result))

    try:
        async with asyncio.timeout(call.tool.timeout_s):
            return await look_up()
    except BaseException as error:
        if (through := passing(error)) is not None:
            raise through from through.__cause__
        if isinstance(error, KeyboardInterrupt | GeneratorExit) or _is_cancelled(error):
            raise
        reason = failure_of(call.tool.name, error, call.tool.timeout_s).text
        return Finding(happened=None, result=f"Its reconcile hook could not tell: {reason}")


def _is_cancelled(error: BaseException) -> bool:
    """Tell whether it is this task that is cancelled, and not something that the hook has awaited."""
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0


async def _transacted(journal: Journal, call: Performance) -> tuple[Outcome | OpenQuestion, Attempted | None]:
    """Run a call in the journal's transaction: its rows and its record are committed together, or neither."""
    found: list[Recorded] = []
    run = call.slot.holding(call.tool.run)
    if call.plan is not None:
        await journal.record(call.plan, call.action.thread_id)

    async def attempt() -> Any:
        async with journal.transaction() as connection:
            entry = await journal.intend(call.action, None, connection=connection)
            if entry.recorded is not None:
                found.append(entry.recorded)
                return entry.recorded.text
            key = entry.idempotency_key

            def run_on(lent: AsyncConnection[DictRow]) -> Awaitable[Any]:
                injected = filled_in(call.tool.injected, call.action, key=key, connection=lent)
                return run(**call.values, **injected)

            result = as_result(await in_transaction(connection, run_on))
            recorded = _recorded(call.tool, Attempted(1, result=result))
            await journal.finish_within(connection, call.action.key, recorded)
            return result

    done = await attempted(call.tool, attempt, time_limit_s=call.time_limit_s)
    if found:
        return _replayed(call, found[-1]), None
    if done.error is not None and is_connection_lost(done.error):
        raise done.error  # whether it was committed is found out by whoever resumes the run
    if done.failure is not None and (committed := await journal.find(call.action.key)) is not None:
        return _outcome(call, committed, done.attempts), done
    recorded = _recorded(call.tool, done)
    return _outcome(call, recorded, done.attempts), done


def _recorded(tool: Tool, done: Attempted) -> Recorded:
    if done.result is not None:
        text = cut(storable_text(done.result.text), tool.max_result_chars, tool.rest)
        return Recorded("ok", text, done.result.sources)
    if done.failure is None:
        return Recorded("ok", done.unreadable or "")
    ended: Ended = "timeout" if done.failure.timed_out else "error"
    # That its last step was refused tells nothing of the steps before it; a tool that knows raises ToolError.
    doubt = tool.effect == "unsafe" and not isinstance(done.error, ToolError)
    return Recorded(ended, storable_text(done.failure.text) + (_FAILED if doubt else ""), doubt=doubt)


def _found(call: Performance, finding: Finding, done: Attempted | None) -> Recorded:
    if finding.happened:
        return _recorded(call.tool, Attempted(1, result=as_result(finding.result or "It was done.")))
    failed = done.failure.text if done is not None and done.failure is not None else "It was not done."
    return Recorded("error", f"{storable_text(failed)} It was looked up: it did not happen.")


async def _kept(  # noqa: PLR0913 - a call, and what is recorded of it
    journal: Journal,
    call: Performance,
    recorded: Recorded,
    attempts: int,
    *,
    by: str | None = None,
    armed: int | None = None,
) -> Outcome:
    """Record how a call ended; `armed` is the attempt by the journal that did, where it is one's own."""
    await journal.finish(call.action.key, recorded, by=by, attempt=armed)
    return _outcome(call, recorded, attempts)


def _outcome(call: Performance, recorded: Recorded, attempts: int) -> Outcome:
    ended = cast("Ended", recorded.outcome)
    return Outcome(ended, recorded.text, attempts, recorded.sources, key=call.action.key)


def _replayed(call: Performance, recorded: Recorded, *, by: str | None = None) -> Outcome:
    return replace(_outcome(call, recorded, 0), replayed=True, settled_by=by)


def _person(entry: Entry) -> str | None:
    return None if entry.resolved_by == _HOOK else entry.resolved_by


def _question(call: Performance, attempt: int, reason: str, intended_at: str) -> OpenQuestion:
    payload = in_doubt_payload(
        call.tool.name, call.action.arguments, intended_at=intended_at, reason=storable_text(reason)
    )
    return OpenQuestion(
        call_id=call.action.call_id, key=call.action.key, kind="in_doubt", attempt=attempt, payload=payload
    )


async def unasked(journal: Journal, question: OpenQuestion, tool: str) -> Outcome:
    """Close a doubt that can't be put to anybody: a run without a checkpointer can't wait for a person."""
    text = f"{tool} was cut off." + _UNASKED
    await journal.finish(question["key"], Recorded("unknown", text))
    return Outcome("unknown", text, key=question["key"])
