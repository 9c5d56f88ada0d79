"""What passes through a tool call passes out of exception groups too; a failure beside it is not lost."""

import asyncio
from typing import Any

import pytest
from langgraph.errors import GraphBubbleUp, GraphInterrupt

from core.errors import ThreadBusyError, TransientError
from tools.attempts import attempted
from tools.contract import contract
from tools.failures import failure_of, passing

ASKED, BUSY, LOST = GraphInterrupt(()), ThreadBusyError("taken over"), TransientError("lost")


def work() -> str:
    """Work."""
    return "done"


@pytest.mark.parametrize(
    ("error", "through"),
    [
        (ASKED, ASKED),
        (ExceptionGroup("g", [ASKED]), ASKED),
        (ExceptionGroup("g", [ExceptionGroup("h", [ASKED])]), ASKED),
        (ExceptionGroup("g", [BUSY]), BUSY),
        (ExceptionGroup("g", [ASKED, GraphInterrupt(())]), ASKED),
        (ExceptionGroup("g", [ExceptionGroup("h", [ASKED]), BUSY]), ASKED),
        (ExceptionGroup("g", [ASKED, LOST]), None),
        (ExceptionGroup("g", [ExceptionGroup("h", [ASKED, LOST]), ASKED]), None),
        (LOST, None),
    ],
)
async def test_a_group_passes_if_it_holds_no_failure(error: Exception, through: Exception | None) -> None:
    async def attempt() -> Any:
        raise error

    assert passing(error) is through
    tool = contract(work)
    if through is None:
        done = await attempted(tool, attempt, time_limit_s=1)
        assert done.failure is not None
        assert done.failure.text == "work failed: TransientError: lost"
    else:
        with pytest.raises((GraphBubbleUp, ThreadBusyError)) as raised:
            await attempted(tool, attempt, time_limit_s=1)
        assert raised.value is through


async def test_a_failure_in_a_task_group_is_told_though_a_task_beside_it_asked() -> None:
    async def ask() -> None:
        raise ASKED

    async def fail() -> None:
        raise LOST

    async def attempt() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(ask())
            group.create_task(fail())

    done = await attempted(contract(work), attempt, time_limit_s=1)
    assert done.failure is not None
    assert done.failure == failure_of("work", LOST, 1)
