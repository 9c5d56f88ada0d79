"""Goes on with runs whose requests were settled in the console, beside the pages."""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import TYPE_CHECKING, Any, cast

from rich.console import Console

from app.inbox import graph_of
from core.process import current_process
from memory.runs import latest_run
from tools.inbox import give_back, take_up
from tools.waiting import once_free

if TYPE_CHECKING:
    from core.process import Process
    from memory.approvals import ApprovalRow

_log = logging.getLogger(__name__)
_SERVER = "langgraph_api.server"


class Resuming:
    """The runs that go on at the moment."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    async def begin(self, row: ApprovalRow, by: str) -> None:
        """Go on with the run of a settled request, unless somebody else does; don't wait for its end.

        Raises:
            InputError: its graph is not known here.
        """
        process = await current_process()
        database = await process.database()
        served = await _served(row)
        graph = None if served else await graph_of(database, row)
        if row.status != "edited" and not await take_up(database, row.id, by):
            return
        work = _on_server(row, served) if served else _here(process, row, graph)
        task = asyncio.create_task(_to_the_end(process, work, row, by), name=f"resume {row.thread_id}")
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def stop(self) -> None:
        """Stop them. They can be gone on with: `boring resume`."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("A run could not go on: %s. Try: boring %s", error, task.get_name(), exc_info=error)


async def _to_the_end(process: Process, work: Any, row: ApprovalRow, by: str) -> None:
    try:
        await work
    except BaseException:
        await give_back(await process.database(), row.id, by)
        raise


async def _here(process: Process, row: ApprovalRow, graph: str | None) -> None:
    """Run a turn to its end in this process."""
    from app.graphs import graph_called, opened_graph  # noqa: PLC0415 - takes time, and pages don't need it
    from app.session import Session, finish_last_run  # noqa: PLC0415 - as above

    agent = await opened_graph(await asyncio.to_thread(graph_called, graph))
    session = Session(process, agent, Console(quiet=True), as_json=False, graph=graph)
    await once_free(lambda: finish_last_run(session, row.thread_id))


async def _served(row: ApprovalRow) -> dict[str, Any] | None:
    """Return the thread as the server knows it that this console is part of; None where it does not."""
    if _SERVER not in sys.modules:
        return None
    from langgraph_sdk import get_client  # noqa: PLC0415 - only inside the server
    from langgraph_sdk.errors import NotFoundError, UnprocessableEntityError  # noqa: PLC0415 - as above

    try:
        return cast("dict[str, Any]", await get_client().threads.get(row.thread_id))
    except (
        NotFoundError,
        UnprocessableEntityError,
    ):  # of the command line, or not even a name of the server's
        return None


async def _on_server(row: ApprovalRow, thread: dict[str, Any]) -> None:
    """Have the server go on, so that its clients see the run."""
    from langgraph_sdk import get_client  # noqa: PLC0415 - only inside the server

    run = await latest_run(await (await current_process()).database(), row.thread_id)
    context: Any = run.context if run is not None else None
    graph = str(
        (thread.get("metadata") or {}).get("graph_id") or (run.graph if run is not None else "single")
    )
    await get_client().runs.create(
        row.thread_id, graph, input=None, context=context, multitask_strategy="enqueue"
    )
