"""The console as an application: its pages under `/console`, alone or as a part of the LangGraph server."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from app.console.approvals import decide_request, list_requests, show_request
from app.console.figures import list_breakers, list_evals, show_charts, show_memory
from app.console.guarding import Guard
from app.console.rating import rate_run
from app.console.rendering import FOLDER, page
from app.console.resuming import Resuming
from app.console.runs import list_runs, list_threads, show_run
from app.console.spans import show_span
from app.feedback_routes import FEEDBACK_ROUTES
from core.errors import BoringError

PLACE: Final = "/console"
"""Under which the pages are found."""


def pages(hosts: Collection[str] | None = None) -> Starlette:
    """Return the pages, to be mounted.

    Args:
        hosts: the only names that they are asked for under; None takes any.
    """
    made = Starlette(
        routes=[
            Route("/", _to_runs),
            Route("/runs", list_runs),
            Route("/runs/{run_id}", show_run),
            Route("/runs/{run_id}", rate_run, methods=["POST"]),
            Route("/runs/{run_id}/spans/{span_id}", show_span),
            Route("/approvals", list_requests),
            Route("/approvals/{approval_id}", show_request),
            Route("/approvals/{approval_id}", decide_request, methods=["POST"]),
            Route("/charts", show_charts),
            Route("/threads", list_threads),
            Route("/breakers", list_breakers),
            Route("/memory", show_memory),
            Route("/evals", list_evals),
            Mount("/static", StaticFiles(directory=FOLDER / "static", check_dir=False)),
        ],
        middleware=[Middleware(Guard, hosts=hosts)],
        exception_handlers={HTTPException: _refused, BoringError: _failed},
    )
    made.state.resuming = Resuming()
    return made


def standing_alone(console: Starlette) -> Starlette:
    """Return the application of a console that is served alone."""
    return Starlette(routes=[Route("/", _to_console), Mount(PLACE, console)])


async def _to_console(request: Request) -> Response:
    return RedirectResponse(f"{request.scope.get('root_path', '')}{PLACE}/runs")


async def _to_runs(request: Request) -> Response:
    return RedirectResponse(f"{request.scope.get('root_path', '')}/runs")


async def _refused(request: Request, error: Exception) -> Response:
    code = error.status_code if isinstance(error, HTTPException) else 500
    detail = error.detail if isinstance(error, HTTPException) else "Something went wrong."
    return await page(request, "error.html", status_code=code, code=code, detail=detail)


async def _failed(request: Request, error: Exception) -> Response:
    return await page(request, "error.html", status_code=503, code=503, detail=str(error))


served = Starlette(routes=[*FEEDBACK_ROUTES, Route(PLACE, _to_console), Mount(PLACE, pages())])
"""What `langgraph.json` names: the server adds its own routes, and its authentication where it has one."""
