"""Feedback over HTTP, as LangSmith's clients send and read it: `POST /feedback` and `GET /feedback`.

Who says something, and of which tenant, is told by the server's authentication and never by the request.
Where the server has none, everybody who reaches it speaks for whoever asked.

Source: LangSmith's API and its client (`create_feedback`, `list_feedback`), which the chat front ends of
LangGraph use.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final, cast

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.console.viewing import nobody_is_asked, role_of
from app.rating import rate
from core.context import RunContext
from core.database import Database
from core.errors import BoringError, InputError
from core.process import current_process
from core.text import storable, storable_text
from observability.feedback import (
    USER_SCORE,
    Feedback,
    NewFeedback,
    NoSuchRunError,
    WantedFeedback,
    feedback_found,
    owner_of_run,
    run_called_as,
)

_MOST_BYTES: Final = 100_000
_MOST_LISTED: Final = 100
_ANSWER_KEYS: Final = ("answer", "output", "text", "content")
"""Under which a correction that is an object holds the text that would have been right."""


class _NotSignedInError(InputError):
    """The server asks who somebody is, and they did not say."""


class Said(BaseModel):
    """The body of `POST /feedback`. What else LangSmith's clients send is not needed.

    Attributes:
        run_id: the run; `trace_id` says it too.
        score: a number from 0 to 1, or true for thumbs up.
        value: stands for the score where that is unset and it is a number or a truth value.
        correction: a text, or an object that holds one.
    """

    model_config = ConfigDict(extra="ignore")

    run_id: str | None = None
    trace_id: str | None = None
    key: str = USER_SCORE
    score: bool | float | None = None
    value: bool | float | str | dict[str, Any] | None = None
    comment: str | None = None
    correction: str | dict[str, Any] | None = None


async def post_feedback(request: Request) -> Response:
    """Take in what somebody says of a run; answer with it as it is kept."""
    try:
        said = Said.model_validate(await _body(request))
        database = await (await current_process()).database()
        run_id = await run_called_as(database, said.run_id or said.trace_id or "")
        tenant, by = await _speaker(request, database, run_id)
        new = NewFeedback(
            run_id,
            by,
            _score(said),
            _comment(said),
            _correction(said.correction),
            said.key or USER_SCORE,
            is_operator=role_of(request.scope) in {"approver", "operator"},
        )
        rated = await rate(tenant, new)
    except (ValidationError, BoringError) as error:
        return _refusal(error)
    return JSONResponse(_shown(rated.feedback))


async def get_feedback(request: Request) -> Response:
    """List what was said of the runs that `run` names, several times if need be.

    With authentication it is what the one who asks has said.
    """
    asked = request.query_params
    try:
        limit, offset = _number(asked.get("limit"), _MOST_LISTED), _number(asked.get("offset"), 0)
        runs = [*dict.fromkeys(asked.getlist("run"))][:_MOST_LISTED]
        found = await _found(request, runs, asked.getlist("key"))
    except BoringError as error:
        return _refusal(error)
    return JSONResponse([_shown(one) for one in found[offset : offset + min(limit, _MOST_LISTED)]])


FEEDBACK_ROUTES: Final = (
    Route("/feedback", post_feedback, methods=["POST"]),
    Route("/feedback", get_feedback, methods=["GET"]),
)
_WANTED: Final = 'Send JSON such as {"run_id": "...", "key": "user_score", "score": 1, "comment": "..."}.'


async def _body(request: Request) -> Any:
    """Return the JSON of a request; a page of another site can't send it without being allowed to.

    Raises:
        InputError: it is none, or too long.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise InputError(f"The body is no JSON by its content-type. {_WANTED}")
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > _MOST_BYTES:
            raise InputError(f"The body has more than {_MOST_BYTES} bytes. Send less.")
    try:
        return storable(json.loads(body))
    except RecursionError as error:
        raise InputError(f"The body is nested too deeply. {_WANTED}") from error
    except ValueError as error:
        raise InputError(f"The body is no JSON: {error}. {_WANTED}") from error


async def _found(request: Request, run_ids: Sequence[str], keys: Sequence[str]) -> list[Feedback]:
    if not run_ids:
        raise InputError("Name a run: /feedback?run=ID")
    database = await (await current_process()).database()
    found: list[Feedback] = []
    for given in run_ids:
        run_id = await run_called_as(database, given)
        tenant, by = await _speaker(request, database, run_id)
        wanted = WantedFeedback(run_id=run_id, by=by if _signed_in(request) else None)
        found += await feedback_found(database, tenant, wanted) if tenant else []
    return [one for one in found if not keys or one.key in keys]


async def _speaker(request: Request, database: Database, run_id: str) -> tuple[str, str]:
    """Return the tenant and the name of who asks."""
    user = _signed_in(request)
    if user is None:
        tenant, asker = await owner_of_run(database, run_id)
        return tenant, asker or "nobody"
    tenant = _field(user, "tenant") or RunContext().tenant
    return tenant, storable_text(str(user.identity))


def _signed_in(request: Request) -> Any:
    """Return who is signed in; None where the server has no authentication.

    Raises:
        _NotSignedInError: it has, and who asks is not signed in.
    """
    user: Any = request.scope.get("user")
    if nobody_is_asked(user):
        return None
    if user.is_authenticated:
        return user
    raise _NotSignedInError("You are not signed in. Sign in to give or read feedback.")


def _field(user: Any, name: str) -> str:
    """Return what the server's authentication tells of a user beside the name; empty if nothing."""
    try:
        held = user[name]
    except (KeyError, AttributeError, TypeError):
        held = getattr(user, name, None)
    return storable_text(str(held)) if held else ""


def _score(said: Said) -> float | None:
    given = said.score if said.score is not None else said.value
    return float(given) if isinstance(given, bool | int | float) else None


def _comment(said: Said) -> str | None:
    """Return the comment, with a value before it that is no number, such as a category."""
    value = said.value
    if value is None or isinstance(value, bool | int | float):
        return said.comment
    told = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return ": ".join(part for part in (told.strip(), said.comment) if part) or None


def _correction(given: str | dict[str, Any] | None) -> str | None:
    if not isinstance(given, dict):
        return given
    if not given:  # nothing is said of what would have been right
        return None
    held = [given[name] for name in _ANSWER_KEYS if isinstance(given.get(name), str)]
    return cast("str", held[0]) if held else json.dumps(given, ensure_ascii=False)


def _shown(one: Feedback) -> dict[str, Any]:
    """Return feedback in the form of LangSmith's."""
    return {
        "id": str(one.id),
        "run_id": one.run_id,
        "trace_id": one.run_id,
        "key": one.key,
        "score": one.score,
        "value": one.signal,
        "comment": one.comment,
        "correction": one.correction,
        "created_at": one.created_at.isoformat(),
        "modified_at": one.updated_at.isoformat(),
        "feedback_source": {"type": one.source, "metadata": {"by": one.given_by}},
    }


def _number(given: str | None, default: int) -> int:
    if given is None:
        return default
    if not given.isascii() or not given.isdigit():
        raise InputError(f"{given[:20]!r} is no number. Give one from 0.")
    return min(int(given[:9]), 10**6)


def _refusal(error: ValidationError | BoringError) -> Response:
    """Return what a request is answered with that can't be taken."""
    if isinstance(error, ValidationError):
        [first, *_] = error.errors(include_url=False, include_context=False)
        where = ".".join(map(str, first["loc"])) or "the body"
        return _refused(422, f"{where}: {first['msg']}. {_WANTED}")
    if isinstance(error, _NotSignedInError):
        return _refused(403, str(error))
    if isinstance(error, NoSuchRunError):
        return _refused(404, str(error))
    return _refused(422 if isinstance(error, InputError) else 503, str(error))


def _refused(status: int, why: str) -> JSONResponse:
    return JSONResponse({"detail": why}, status_code=status)
