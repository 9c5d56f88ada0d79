"""What the commands about requests for approval do."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from rich.console import Console
from rich.text import Text

from app.exits import ANSWERED, FAILED, WAITING
from app.inbox_shown import print_swept, request_as_json, told
from app.json_output import write_json
from core.errors import BoringError, InputError
from core.process import Process, opened_process
from core.text import in_hanging_lines, in_one_line
from memory.approvals import approvals, approvals_left, approvals_named
from observability.audit import audit_of, verify_audit
from tools.deciding import decide
from tools.inbox import EXPIRY, close_overtaken, give_back, take_up
from tools.inbox import sweep as swept_requests
from tools.questions import Decision, EditedAction, whats_wrong
from tools.waiting import once_free

if TYPE_CHECKING:
    from core.database import Database
    from memory.approvals import ApprovalRow
    from observability.audit import AuditRow, Verified


@dataclass(frozen=True, slots=True)
class Pressed:
    """A decision as the command line takes it.

    Attributes:
        approval_id: the beginning of the request's id.
        said: the decision; for an edit, `args` are the new arguments.
        by: who decides.
        shown_hash: the beginning of the hash of the arguments that they were shown.
    """

    approval_id: str
    said: Mapping[str, Any]
    by: str
    shown_hash: str | None


async def listed(*, settled: bool, thread: str | None, limit: int) -> list[ApprovalRow]:
    """Return the requests that wait, or all."""
    async with opened_process() as process:
        database = await process.database()
        await close_overtaken(database)
        return await approvals(database, settled=settled, thread_id=thread, limit=limit)


async def whole(approval_id: str) -> tuple[ApprovalRow, list[AuditRow]]:
    """Return one request with all that happened to it.

    Raises:
        InputError: there is no such request, or more than one.
    """
    async with opened_process() as process:
        database = await process.database()
        await close_overtaken(database)
        row = await _named(database, approval_id)
        return row, await audit_of(database, str(row.id))


async def verified(seen: str | None) -> Verified:
    """Return whether the audit record is whole."""
    async with opened_process() as process:
        return await verify_audit(await process.database(), seen=seen)


async def swept(*, resume: bool, as_json: bool) -> int:
    """Treat what is overdue, and go on with the runs of what is settled by it; return the exit code.

    A run that can't be gone on with is told of and left to others; the next one is gone on with all the same.
    """
    failed = False
    async with opened_process() as process:
        database = await process.database()
        rows = await approvals_left(database, EXPIRY) + await swept_requests(database)
        if as_json:
            write_json([request_as_json(row) for row in rows])
        else:
            print_swept(rows, Console(soft_wrap=True), resume=resume)
        for row in rows if resume else ():
            try:
                if row.settled_by == EXPIRY:
                    code = await _resumed(process, row, EXPIRY, graph=None, as_json=as_json)
                    failed |= code not in {ANSWERED, WAITING}
            except* BoringError as group:
                failed = True
                why = Text(f"{in_one_line(row.thread_id)}: {in_hanging_lines(str(_first_of(group)))}")
                Console(stderr=True, soft_wrap=True).print(why, highlight=False)
    return FAILED if failed else ANSWERED


def _first_of(group: BaseExceptionGroup[BoringError]) -> BoringError:
    first = group.exceptions[0]
    return _first_of(first) if isinstance(first, BaseExceptionGroup) else first


async def pressed(what: Pressed, *, graph: str | None, resume: bool, as_json: bool) -> int:
    """Take a decision, and go on with the run if it can; return the exit code.

    Raises:
        InputError: the decision does not count, or the run's graph is not known here.
    """
    async with opened_process() as process:
        database = await process.database()
        before = await _named(database, what.approval_id)
        shown = before.arguments_hash
        if what.shown_hash is not None and not shown.startswith(what.shown_hash):
            shown = what.shown_hash
        row = await decide(
            database,
            before.id,
            _decision(what.said, before.tool),
            by=what.by,
            arguments_hash=shown,
            roles=process.settings.roles,
        )
        if as_json and (row.status == "open" or not resume):
            write_json(request_as_json(row))
        elif not as_json:
            Console(soft_wrap=True).print(Text(in_one_line(told(row))), highlight=False)
        if row.status == "open" or not resume:
            return ANSWERED
        return await _resumed(process, row, what.by, graph=graph, as_json=as_json)


async def _resumed(process: Process, row: ApprovalRow, by: str, *, graph: str | None, as_json: bool) -> int:
    """Go on with the run of a request, unless somebody else does."""
    from app.session import go_on  # noqa: PLC0415 - loads the agent's libraries

    database = await process.database()
    graph = graph or await graph_of(database, row)
    if row.status != "edited" and not await take_up(database, row.id, by):
        if as_json:
            write_json(request_as_json(row))
        return ANSWERED
    try:
        return await once_free(lambda: go_on(row.thread_id, graph=graph, as_json=as_json))
    except BaseException:
        await give_back(database, row.id, by)
        raise


async def graph_of(database: Database, row: ApprovalRow) -> str | None:
    """Return the name under which a run's graph can be had here; None for the reference agent.

    Raises:
        InputError: there is none.
    """
    from app.graphs import asked_for_as, graph_called  # noqa: PLC0415 - beside what needs it
    from memory.runs import latest_run  # noqa: PLC0415 - as above

    run = await latest_run(database, row.thread_id)
    name = run.graph if run is not None else "single"
    if (await asyncio.to_thread(graph_called, name)).is_reference:
        return None
    if (asked_for := await asyncio.to_thread(asked_for_as, name)) is not None:
        return asked_for
    raise InputError(
        f"The decision is recorded. The run is one of the graph {name!r}, which is not known here; go on "
        f"with it by: boring resume {row.thread_id} --graph MODULE:GRAPH"
    )


def _decision(said: Mapping[str, Any], tool: str) -> Decision:
    try:
        if "args" in said:
            return Decision(type="edit", edited_action=EditedAction(name=tool, args=said["args"]))
        return Decision.model_validate(said)
    except ValidationError as error:
        if "args" in said:
            raise InputError(f"--args can't be taken: {whats_wrong(error)}.") from error
        raise InputError("--with is empty; it is what the model gets as the tool's result.") from error


async def _named(database: Database, beginning: str) -> ApprovalRow:
    found = await approvals_named(database, beginning.lower())
    if not found or not beginning:
        raise InputError(f"There is no request {beginning!r}. List those that wait with: boring approvals")
    if len(found) > 1:
        ids = ", ".join(str(row.id)[:13] for row in found[:5])
        raise InputError(f"{len(found)} requests begin with {beginning!r}, such as {ids}. Give more of it.")
    return found[0]
