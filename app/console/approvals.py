"""The pages of requests for approval: those that wait, one of them, and the decision by a form."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.console.guarding import form_of
from app.console.rendering import page
from app.console.viewing import viewer_of
from app.questions import account_name
from core.errors import InputError
from core.process import current_process
from core.text import storable_text
from guardrails.chain import ANYBODY
from memory.approvals import approvals, approvals_named
from observability.audit import audit_of
from tools.deciding import decide
from tools.inbox import chain_of, close_overtaken
from tools.questions import Decision, EditedAction, whats_wrong

if TYPE_CHECKING:
    from app.console.resuming import Resuming
    from core.database import Database
    from memory.approvals import ApprovalRow

_MOST: Final = 100
_SEE_OTHER: Final = 303


async def list_requests(request: Request) -> Response:
    """Show the requests that wait; with `all`, also those that are settled."""
    database = await (await current_process()).database()
    await close_overtaken(database)
    settled = request.query_params.get("all") == "1"
    tenant = viewer_of(request).tenant
    rows = await approvals(database, settled=settled, tenant=tenant, limit=_MOST)
    return await page(
        request, "approvals.html", requests=[(row, _asked(row)) for row in rows], settled=settled
    )


async def show_request(request: Request) -> Response:
    """Show one request, with the form that decides it while it waits."""
    return await _shown(request, await _row(request))


async def decide_request(request: Request) -> Response:
    """Take the decision of a form, and go on with the run if it can."""
    if not viewer_of(request).may_decide:
        raise HTTPException(403, "You may look at requests, and not decide on them.")
    fields = await form_of(request)
    row = await _row(request)
    process = await current_process()
    try:
        by = _decider(request, fields)
        decided = await decide(
            await process.database(),
            row.id,
            _decision(fields, row.tool),
            by=by,
            arguments_hash=fields.get("hash", ""),
            roles=process.settings.roles,
        )
        if decided.status != "open":
            resuming: Resuming = request.app.state.resuming
            await resuming.begin(decided, by)
    except InputError as error:
        return await _shown(request, await _row(request), fault=str(error), fields=fields)
    root = request.scope.get("root_path", "")
    where = f"approvals/{row.id}" if decided.status == "open" else f"runs/{row.run_id}"
    return RedirectResponse(f"{root}/{where}", status_code=_SEE_OTHER)


async def _shown(
    request: Request, row: ApprovalRow, *, fault: str = "", fields: dict[str, str] | None = None
) -> Response:
    given = fields or {}
    return await page(
        request,
        "approval.html",
        status_code=409 if fault else 200,
        row=row,
        asked=_asked(row),
        levels=chain_of(row).levels,
        history=await audit_of(await _database(), str(row.id)),
        fault=fault,
        words=given.get("words", ""),
        arguments=given.get("arguments") or json.dumps(row.arguments, ensure_ascii=False, indent=2),
        by=viewer_of(request).name or given.get("by") or account_name(),
        is_signed_in=viewer_of(request).name is not None,
    )


async def _database() -> Database:
    return await (await current_process()).database()


async def _row(request: Request) -> ApprovalRow:
    """Return the request that an address names.

    Raises:
        HTTPException: there is none that who asks may see.
    """
    try:
        name = str(UUID(request.path_params["approval_id"]))
    except ValueError:
        name = "-"
    database = await _database()
    await close_overtaken(database)
    found = await approvals_named(database, name, tenant=viewer_of(request).tenant)
    if not found:
        raise HTTPException(404, "There is no request with this id. It may have been forgotten.")
    return found[0]


def _decider(request: Request, fields: dict[str, str]) -> str:
    """Return who decides. Where a server in front has authenticated who asks, their word does not count."""
    by = storable_text(viewer_of(request).name or fields.get("by", "").strip())
    if not by:
        raise InputError("Nobody is named who decides. Give your name.")
    return by


def _decision(fields: dict[str, str], tool: str) -> Decision:
    """Return what a form decides.

    Raises:
        InputError: nothing that counts.
    """
    kind, words = fields.get("type", ""), fields.get("words", "")
    said: dict[str, Any] = {"type": kind} | ({"message": words} if kind in {"reject", "respond"} else {})
    try:
        if kind == "edit":
            said["edited_action"] = EditedAction(name=tool, args=_arguments(fields.get("arguments", "")))
        return Decision.model_validate(said)
    except ValidationError as error:
        raise InputError(f"The decision can't be taken: {whats_wrong(error)}.") from error


def _arguments(text: str) -> dict[str, Any]:
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"The arguments are no JSON: {error}. Give an object, such as {{}}.") from error
    if not isinstance(given, dict):
        raise InputError('The arguments are no JSON object. Give one, such as {"amount": 5}.')
    return given


def _asked(row: ApprovalRow) -> str:
    """Return who is asked now."""
    if row.status != "open":
        return ""
    asked: list[str] = []
    for one in chain_of(row).open:
        role = "anybody" if one.level.role == ANYBODY else one.level.role
        asked.append(f"{role} ({len(one.agreed)} of {one.level.quorum})")
    return ", ".join(asked)
