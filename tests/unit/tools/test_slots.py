"""A thread that nothing can stop keeps its slot until it ends, and nobody waits for it."""

import asyncio
import sys
import threading
from asyncio.subprocess import PIPE
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any

import pytest
from langchain_core.messages import ToolCall, ToolMessage
from langchain_core.tools import BaseTool, StructuredTool, tool

from core.settings import PROJECT_ROOT
from tools.contract import ONCE, AnyTool, Retry, contract
from tools.runtime import CallScope, ToolRuntime
from tools.slots import Slot, Threaded

SHORT_S = 0.05
LONG_S = 30.0


class Office:
    """Work that goes on until it is let go, and who is at it."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.changed = threading.Condition()
        self.inside = self.most = self.begun = self.over = 0

    def work(self) -> str:
        """Work."""
        self.count(inside=1, begun=1)
        assert self.open.wait(LONG_S)
        self.count(inside=-1, over=1)
        return "done"

    async def work_async(self) -> str:
        """Work."""
        self.count(inside=1, begun=1)
        try:
            await asyncio.Event().wait()
        finally:
            self.count(inside=-1, over=1)
        return "done"

    def count(self, *, inside: int, begun: int = 0, over: int = 0) -> None:
        with self.changed:
            self.inside += inside
            self.begun += begun
            self.over += over
            self.most = max(self.most, self.inside)
            self.changed.notify_all()

    async def until(self, *, begun: int = 0, over: int = 0) -> None:
        def reached() -> bool:
            with self.changed:
                return self.changed.wait_for(lambda: self.begun >= begun and self.over >= over, LONG_S)

        assert await asyncio.to_thread(reached)


@pytest.fixture
def office() -> Iterator[Office]:
    made = Office()
    yield made
    made.open.set()


def as_function(office: Office) -> AnyTool:
    def work() -> str:
        """Work."""
        return office.work()

    return work


def as_langchain_tool(office: Office) -> AnyTool:
    return tool("work", as_function(office))  # pyright: ignore[reportArgumentType] - a function with a docstring


def as_class(office: Office) -> AnyTool:
    class Work(BaseTool):
        name: str = "work"
        description: str = "Work."

        def _run(self) -> str:
            return office.work()

    return Work()


def runtime_of(work: AnyTool, **terms: Any) -> ToolRuntime:
    made: Any = work
    return ToolRuntime([contract(made, effect="read", **terms)])


async def called(runtime: ToolRuntime, time_limit_s: float = LONG_S) -> ToolMessage:
    call = ToolCall(name="work", args={}, id="c1")
    message = await runtime.call(call, CallScope(step=1, time_limit_s=time_limit_s))
    assert isinstance(message, ToolMessage)
    return message


@pytest.mark.parametrize("made", [as_function, as_langchain_tool, as_class])
async def test_a_thread_that_outlives_its_call_keeps_the_slot_until_it_ends(
    office: Office, made: Any
) -> None:
    runtime = runtime_of(made(office), retry=ONCE, timeout_s=SHORT_S, max_concurrency=1)
    assert (await called(runtime)).text == f"work gave no result within {SHORT_S:g} s."
    assert (office.inside, office.over) == (1, 0)  # the caller did not wait for it
    refused = await called(runtime, SHORT_S)
    assert refused.text == f"work was busy for {SHORT_S:g} s and not called."
    waiting = asyncio.create_task(called(runtime))
    office.open.set()
    assert (await waiting).text == "done"
    assert (office.begun, office.most) == (2, 1)


async def test_attempts_that_time_out_take_no_more_slots_than_there_are(office: Office) -> None:
    runtime = runtime_of(as_function(office), retry=Retry(5, 0, 0), timeout_s=SHORT_S, max_concurrency=2)
    message = await called(runtime)
    assert (message.artifact["outcome"], message.artifact["attempt"]) == ("timeout", 5)
    assert (office.begun, office.inside) == (2, 2)
    office.open.set()
    await office.until(over=2)
    assert [(await called(runtime)).text for _ in range(3)] == ["done"] * 3
    assert office.most == 2


async def test_a_call_that_waits_for_a_place_for_its_next_thread_gets_that_of_the_one_before() -> None:
    free = asyncio.Semaphore(1)
    slot, first, second = Slot(free), Future[str](), Future[str]()
    await slot.take(LONG_S)
    await slot.lend(first)
    lending = asyncio.create_task(slot.lend(second))
    await asyncio.sleep(0)
    assert not lending.done()
    await asyncio.to_thread(first.set_result, "late")
    await asyncio.wait_for(lending, LONG_S)
    slot.leave()
    assert free.locked()
    second.set_result("done")
    await asyncio.wait_for(free.acquire(), LONG_S)


async def test_a_call_with_two_threads_out_gives_back_what_it_took() -> None:
    free = asyncio.Semaphore(2)
    slot, threads = Slot(free), [Future[str](), Future[str]()]
    await slot.take(LONG_S)
    for thread in threads:
        await slot.lend(thread)
    assert free.locked()
    for thread in threads:
        thread.set_result("done")
    await asyncio.sleep(0)
    slot.leave()
    for _ in threads:
        await asyncio.wait_for(free.acquire(), LONG_S)
    assert free.locked()


async def test_a_call_that_is_cancelled_leaves_its_slot_to_its_thread(office: Office) -> None:
    runtime = runtime_of(as_function(office), max_concurrency=1)
    calling = asyncio.create_task(called(runtime))
    await office.until(begun=1)
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    assert (await called(runtime, SHORT_S)).text == f"work was busy for {SHORT_S:g} s and not called."
    office.open.set()
    assert (await called(runtime)).text == "done"


async def test_tools_that_hang_leave_the_threads_of_the_loop_to_others(office: Office) -> None:
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    runtime = runtime_of(as_function(office), retry=ONCE, timeout_s=SHORT_S, max_concurrency=8)
    async with asyncio.timeout(LONG_S), asyncio.TaskGroup() as hanging:
        for _ in range(8):
            hanging.create_task(called(runtime))
    assert office.inside == 8
    assert await asyncio.wait_for(asyncio.to_thread(lambda: "free"), LONG_S) == "free"


HANGING = """
import asyncio, threading
from tools.slots import Threaded
began = threading.Event()
def hang():
    began.set()
    threading.Event().wait()
async def main():
    asyncio.create_task(Threaded(hang)())
    await asyncio.to_thread(began.wait)
    print("over")
asyncio.run(main())
"""


async def test_a_tool_that_hangs_does_not_keep_the_process_from_ending() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HANGING, cwd=PROJECT_ROOT, stdout=PIPE, stderr=PIPE
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), LONG_S)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert (process.returncode, out, err) == (0, b"over\n", b"")


async def test_what_a_thread_returns_after_its_loop_was_closed_harms_nobody(office: Office) -> None:
    def in_a_loop_of_its_own() -> None:
        async def begin() -> None:
            task = asyncio.create_task(Threaded(office.work)())
            await office.until(begun=1)
            task.cancel()

        asyncio.run(begin())

    await asyncio.to_thread(in_a_loop_of_its_own)
    office.open.set()
    await office.until(over=1)


async def test_a_thread_sees_the_context_of_its_caller() -> None:
    who = ContextVar("who", default="nobody")
    who.set("Ada")
    assert await Threaded(who.get)() == "Ada"


async def test_a_coroutine_that_times_out_frees_its_slot(office: Office) -> None:
    made = StructuredTool.from_function(coroutine=office.work_async, name="work")
    runtime = runtime_of(made, retry=Retry(3, 0, 0), timeout_s=SHORT_S, max_concurrency=1)
    for _ in range(2):
        assert (await called(runtime)).artifact["attempt"] == 3
    assert (office.begun, office.most, office.inside) == (6, 1, 0)
