"""A call that gets no slot in time: what is said of it is true, also where an earlier process began it."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from langchain_core.messages import ToolCall, ToolMessage

from core.process import Process
from core.state import OpenQuestion
from core.worker import current_worker
from memory.claims import current_claims
from tools.actions import Action, Recorded
from tools.contract import Effect, Finding, contract
from tools.journal import Journal
from tools.questions import InDoubtAnswer, keep_answer
from tools.records import CallRecord
from tools.runtime import CallScope, ToolRuntime

SHORT_S = 0.05
NOT_CALLED = f"pay was busy for {SHORT_S:g} s and not called."


class Counter:
    """A counter with one place, which a call of order 0 holds until it is let go."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.occupied, self.open = asyncio.Event(), asyncio.Event()
        self.paid: list[int] = []
        self.known: bool | None = None

    async def pay(self, order: int) -> str:
        """Pay for an order."""
        if order == 0:
            self.occupied.set()
            await self.open.wait()
        self.paid.append(order)
        return f"paid {order}"

    async def was_it_paid(self, arguments: Mapping[str, Any], key: str) -> Finding:
        assert key
        return Finding(happened=self.known, result=f"paid {arguments['order']}, says the bank")

    def runtime(self, effect: Effect) -> ToolRuntime:
        hook = self.was_it_paid if effect == "unsafe" else None
        return ToolRuntime([contract(self.pay, effect=effect, max_concurrency=1, reconcile=hook)])

    def scope(self, time_limit_s: float = SHORT_S) -> CallScope:
        return CallScope(step=1, time_limit_s=time_limit_s, thread_id="t", run_id="r", journal=self.journal)


def call(order: int) -> ToolCall:
    return ToolCall(name="pay", args={"order": order}, id=f"call_{order}")


def action(order: int, effect: Effect) -> Action:
    return Action("t", "r", f"call_{order}", "pay", effect, {"order": order})


@pytest.fixture
async def counter(process: Process) -> AsyncIterator[Counter]:
    journal = Journal(await process.database(), (await current_worker()).id)
    async with (await current_claims()).held("t"):
        yield Counter(journal)


async def busy(counter: Counter, effect: Effect) -> tuple[ToolRuntime, asyncio.Task[Any]]:
    runtime = counter.runtime(effect)
    holding = asyncio.create_task(runtime.call(call(0), counter.scope(30)))
    await counter.occupied.wait()
    return runtime, holding


async def record(runtime: ToolRuntime, counter: Counter) -> tuple[CallRecord, str]:
    message = await runtime.call(call(7), counter.scope())
    assert isinstance(message, ToolMessage)
    return message.artifact, message.text


async def end(counter: Counter, holding: asyncio.Task[Any], paid: list[int]) -> None:
    counter.open.set()
    await holding
    assert counter.paid == paid


@pytest.mark.parametrize("effect", ["read", "idempotent", "unsafe"])
async def test_a_call_that_was_never_begun_is_told_not_to_have_been_made(
    counter: Counter, effect: Effect
) -> None:
    runtime, holding = await busy(counter, effect)
    told, text = await record(runtime, counter)
    assert (told["outcome"], text) == ("timeout", NOT_CALLED)
    assert not await counter.journal.is_known(action(7, effect).key)
    await end(counter, holding, [0])


async def test_a_repeatable_call_begun_before_is_unknown_and_recorded_as_such(counter: Counter) -> None:
    await counter.journal.intend(action(7, "idempotent"), None)
    runtime, holding = await busy(counter, "idempotent")
    told, text = await record(runtime, counter)
    assert (told["outcome"], told["attempt"]) == ("unknown", 0)
    assert "It is not known whether it was done. The same call" in text
    assert "not called" not in text
    assert await counter.journal.find(action(7, "idempotent").key) == Recorded("unknown", text, doubt=True)
    await end(counter, holding, [0])


async def test_a_call_that_was_done_before_is_replayed_without_a_slot(counter: Counter) -> None:
    await counter.journal.intend(action(7, "unsafe"), None)
    await counter.journal.finish(action(7, "unsafe").key, Recorded("ok", "paid 7, before"))
    runtime, holding = await busy(counter, "unsafe")
    told, text = await record(runtime, counter)
    assert (told["outcome"], told["replayed"], text) == ("ok", True, "paid 7, before")
    await end(counter, holding, [0])


async def test_a_doubt_is_looked_up_without_a_slot(counter: Counter) -> None:
    await counter.journal.intend(action(7, "unsafe"), None)
    counter.known = True
    runtime, holding = await busy(counter, "unsafe")
    told, text = await record(runtime, counter)
    assert (told["outcome"], text) == ("ok", "paid 7, says the bank")
    await end(counter, holding, [0])


async def test_a_person_is_asked_of_a_doubt_without_a_slot_and_the_call_then_waits_for_one(
    counter: Counter,
) -> None:
    await counter.journal.intend(action(7, "unsafe"), None)
    runtime, holding = await busy(counter, "unsafe")
    question: Any = await runtime.call(call(7), counter.scope())
    assert question["kind"] == "in_doubt"
    asked = OpenQuestion(**question)
    await keep_answer(counter.journal.database, asked, InDoubtAnswer(outcome="not_happened", by="bob"))
    waiting = asyncio.create_task(runtime.call(call(7), counter.scope(30)))
    async with counter.journal.database.pool.connection() as connection:
        rearmed = "select 1 from boring.effect where call_id = 'call_7' and attempt = 2"
        while await (await connection.execute(rearmed)).fetchone() is None:
            pass
    assert not waiting.done()
    counter.open.set()
    done = await waiting
    assert isinstance(done, ToolMessage)
    assert done.text == "paid 7"
    await end(counter, holding, [0, 7])


async def test_what_a_killed_process_sent_may_still_happen_so_that_a_person_is_asked(
    counter: Counter,
) -> None:
    await counter.journal.intend(action(7, "unsafe"), None)
    counter.known = False
    question: Any = await counter.runtime("unsafe").call(call(7), counter.scope())
    assert "may still be under way" in question["payload"]["question"]


async def test_a_call_that_is_known_not_to_have_happened_is_told_not_to_have_been_made(
    counter: Counter,
) -> None:
    await counter.journal.intend(action(7, "unsafe"), None)
    counter.known = False
    async with counter.journal.database.pool.connection() as connection:
        await connection.execute("update boring.effect set intended_at = now() - interval '1 hour'")
    runtime, holding = await busy(counter, "unsafe")
    told, text = await record(runtime, counter)
    assert (told["outcome"], text) == ("timeout", NOT_CALLED)
    assert await counter.journal.find(action(7, "unsafe").key) == Recorded("timeout", NOT_CALLED)
    await end(counter, holding, [0])
