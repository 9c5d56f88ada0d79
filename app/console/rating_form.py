"""The form that says what somebody thinks of a run: what it begins with, and what it says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from starlette.requests import Request

from app.console.viewing import viewer_of
from app.questions import account_name
from core.context import RunContext
from core.errors import InputError
from observability.feedback import MAX_TEXT_CHARS, USER_SCORE, NewFeedback

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from observability.feedback import Feedback
    from observability.trace_log import RunFigures

_THUMBS: Final = {"up": 1.0, "down": 0.0}


def form_shown(
    request: Request, run: RunFigures, said: Sequence[Feedback], fields: Mapping[str, str] | None
) -> dict[str, Any]:
    """Return what the form holds: what was sent and refused, else what the same person has said before."""
    name = viewer_of(request).name
    by = name or (run.user_id if run.user_id == RunContext().user else account_name())
    shown: dict[str, Any] = {"by": by, "is_signed_in": name is not None, "most": MAX_TEXT_CHARS}
    if fields is not None:
        asked = {one: fields.get(one, "") for one in ("thumb", "score", "comment", "correction")}
        return {**shown, **asked, "by": name or fields.get("by", ""), "is_again": False}
    mine = next((one for one in said if (one.given_by, one.key) == (by, USER_SCORE)), None)
    score = None if mine is None else mine.score
    thumb = next((name for name, value in _THUMBS.items() if value == score), "")
    return {
        **shown,
        "thumb": thumb,
        "score": "" if thumb or score is None else f"{score:g}",
        "comment": (mine and mine.comment) or "",
        "correction": (mine and mine.correction) or "",
        "is_again": mine is not None,
    }


def said_in(request: Request, run: RunFigures, fields: Mapping[str, str]) -> NewFeedback:
    """Return what a form says. Who is signed in says so, whatever the form names.

    Raises:
        InputError: a thumb and a score, or what is neither.
    """
    viewer = viewer_of(request)
    return NewFeedback(
        run.run_id,
        viewer.name or fields.get("by", ""),
        _score(fields),
        fields.get("comment") or None,
        fields.get("correction") or None,
        is_operator=viewer.may_decide,
    )


def _score(fields: Mapping[str, str]) -> float | None:
    thumb, score = fields.get("thumb", ""), fields.get("score", "").strip()
    if thumb and thumb not in _THUMBS:
        raise InputError(f"There is no thumb {thumb[:20]!r}. Give `up`, `down` or none.")
    if thumb and score:
        raise InputError("There are a thumb and a score. Give one of them.")
    if not score:
        return _THUMBS.get(thumb)
    try:
        return float(score)
    except ValueError:
        raise InputError(
            f"The score {score[:20]!r} is no number. Give one from 0 to 1, such as 0.8."
        ) from None
