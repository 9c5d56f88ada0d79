"""How pages are made of templates. Everything is escaped: a trace holds what strangers wrote."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from app.console.guarding import FORM_FIELD, remember_token, token_of
from app.console.viewing import viewer_of
from app.feedback_words import rating_told, score_told, told
from app.traces import dollars
from core.text import visible

FOLDER: Final = Path(__file__).parent
_SECOND_MS: Final = 1000
_MINUTE_MS: Final = 60_000


async def page(request: Request, template: str, *, status_code: int = 200, **values: Any) -> HTMLResponse:
    """Return a page.

    Args:
        request: what was asked.
        template: the file in `templates`.
        status_code: of HTTP.
        values: what the template shows.
    """
    token = token_of(request)
    root = str(request.scope.get("root_path", ""))
    place = request.url.path.removeprefix(root)
    shown = {
        **values,
        "root": root,
        "path": place,
        "csrf": (FORM_FIELD, token),
        "viewer": viewer_of(request),
    }
    html = await asyncio.to_thread(lambda: _environment().get_template(template).render(shown))
    response = HTMLResponse(html, status_code)
    remember_token(request, response, token)
    return response


@lru_cache(maxsize=1)
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        visible=lambda text: visible(str(text)),
        one_line=_one_line,
        duration=duration,
        dollars=dollars,
        rating=rating_told,
        score=score_told,
        told=told,
        number=lambda value: f"{value:,}",
        moment=_moment,
        json=lambda value: json.dumps(value, ensure_ascii=False, indent=2, default=str),
    )
    return made


def duration(ms: float | None) -> str:
    """Return milliseconds as people read them."""
    if ms is None:
        return ""
    if ms < 1:
        return "<1 ms"
    if ms < _SECOND_MS:
        return f"{ms:.0f} ms"
    return f"{ms / _SECOND_MS:.1f} s" if ms < _MINUTE_MS else f"{ms / _MINUTE_MS:.1f} min"


def _one_line(text: object, most: int = 120) -> str:
    line = visible(" ".join(str(text).split()))
    return line if len(line) <= most else f"{line[: most - 1]}…"


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
