"""The span of a part of an invocation: of a step, or of a model call or tool call in it."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Literal

from langgraph.errors import GraphBubbleUp, GraphInterrupt, ParentCommand
from opentelemetry import context as current
from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from typing_extensions import override

from observability import names
from observability.invocations import RUNNING, Invocation


class Below(AbstractContextManager[Span]):
    """Writes a span that is a part of an invocation: of a step, or of what the running step asks for.

    A class, since it takes a third of the time of a generator, and every run has ten of them.
    """

    __slots__ = (
        "_attributes",
        "_is_step",
        "_kind",
        "_knew_run",
        "_name",
        "_part_of",
        "_running",
        "_span",
        "_token",
    )

    def __init__(
        self,
        part_of: Invocation,
        name: str,
        attributes: Mapping[str, Any],
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        is_step: bool = False,
    ) -> None:
        self._part_of = part_of
        self._name = name
        self._attributes = attributes
        self._kind = kind
        self._is_step = is_step

    @override
    def __enter__(self) -> Span:
        part_of, self._knew_run = self._part_of, bool(self._part_of.run_id)
        of_run = {names.RUN: part_of.run_id} if self._knew_run else {}
        self._span = span = part_of.tracer.start_span(
            self._name,
            context=trace.set_span_in_context(part_of.span) if self._is_step else None,
            kind=self._kind,
            attributes={**part_of.whose, **of_run, **self._attributes},
        )
        self._token = current.attach(trace.set_span_in_context(span))
        self._running = RUNNING.set(part_of) if self._is_step else None
        return span

    @override
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        part_of, span = self._part_of, self._span
        outcome = "" if error is None else left_by(error)
        if error is not None and outcome == "failed":
            failed(span, error)
        elif outcome:
            span.set_attribute(names.OUTCOME, outcome)
        if outcome == "interrupted":
            part_of.interrupted()
        current.detach(self._token)
        if self._running is not None:
            RUNNING.reset(self._running)
        if part_of.run_id and not self._knew_run:
            span.set_attribute(names.RUN, part_of.run_id)
        span.end()


def left_by(error: BaseException) -> Literal["interrupted", "abandoned", "failed", ""]:
    """Return how something ends that an error leaves; empty where that hands on to a graph around."""
    if isinstance(error, GraphInterrupt):
        return "interrupted"
    if isinstance(error, ParentCommand):
        return ""
    if isinstance(error, GraphBubbleUp | CancelledError):  # such as a graph that is drained: nobody is asked
        return "abandoned"
    return "failed"


def failed(span: Span, error: BaseException) -> None:
    """Tell in a span what has failed: the kind of error, no content."""
    kind = type(error).__qualname__
    span.set_attribute(names.ERROR_TYPE, kind)
    span.set_status(Status(StatusCode.ERROR, kind))
