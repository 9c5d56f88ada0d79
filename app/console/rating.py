"""Takes in what somebody says of a run by the form on its page."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.console.guarding import form_of
from app.console.rating_form import said_in
from app.console.runs import run_asked_for, run_page
from app.rating import rate
from core.errors import InputError

_SEE_OTHER: Final = 303


async def rate_run(request: Request) -> Response:
    """Take in what the form on a run's page says of it; whoever may see a run may rate it."""
    fields = await form_of(request)
    run, _ = await run_asked_for(request)
    try:
        await rate(run.tenant, said_in(request, run, fields))
    except InputError as error:
        return await run_page(request, fault=str(error), fields=fields)
    root = request.scope.get("root_path", "")
    return RedirectResponse(f"{root}/runs/{quote(run.run_id, safe='')}#said", status_code=_SEE_OTHER)
