"""Invocations: calls of a graph while they last, and the one that the running step is part of."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from opentelemetry import trace
from opentelemetry.trace import Span, SpanContext, TraceFlags, Tracer

from observability import names

KEY: Final = "__boring_invocation"
"""Under which a graph's configuration carries its invocation to the steps."""
RUNNING: Final[ContextVar[Invocation | None]] = ContextVar("boring_invocation", default=None)
"""The invocation that the running step is part of; set by `observability.spans.step_span`."""


_IN_TOOL: Final[ContextVar[list[Part] | None]] = ContextVar("boring_parts_in_tool", default=None)


class Part(NamedTuple):
    """How an agent has ended that is a part of a run."""

    text: str
    status: str
    input_tokens: int
    output_tokens: int


@dataclass(slots=True, eq=False)
class Invocation:
    """One call of a graph, while it lasts.

    Attributes:
        span: of the invocation.
        agent: the graph's name.
        whose: the attributes that all its spans share: who asked, on which thread.
        decide: takes a decision, see `observability.noting`.
        run_id: of the run that it is part of; empty until the first step knows it.
        parent: of the agent that has handed work to this one.
        is_placed: it is known whether it is the first of its run.
        called_as: the id that the caller gave this call; empty if none.
        outcome: how it ended, in the words of the record of runs; None as long as nobody has said.
        tells_content: its spans hold what was asked and answered.
        is_asked: its own span holds what was asked.
        began: when, by `time.monotonic`.
        parts: how agents in it have ended that it called, if it is the outermost; none that a tool asked.
    """

    tracer: Tracer
    span: Span
    agent: str
    whose: Mapping[str, str]
    decide: Callable[[Any], None]
    run_id: str = ""
    parent: Invocation | None = None
    is_placed: bool = False
    called_as: str = ""
    outcome: str | None = None
    tells_content: bool = False
    is_asked: bool = False
    began: float = field(default_factory=time.monotonic)
    parts: list[Part] = field(default_factory=list["Part"])

    def belongs_to(self, run_id: str, first: str | None) -> None:
        """Name the run, for those around it too; a later invocation of it is linked to the `first` one."""
        if self.parent is not None:
            self.parent.belongs_to(run_id, first)
        if not self.run_id:
            self.run_id = run_id
            self.span.set_attribute(names.RUN, run_id)
            if self.called_as not in {"", run_id}:
                self.span.set_attribute(names.CALLED_AS, self.called_as)
        if first is None or self.is_placed:
            return
        self.is_placed = True
        earlier = _context_of(first)
        if earlier is not None and earlier.trace_id != self.span.get_span_context().trace_id:
            self.span.add_link(earlier, {"boring.link": "resumes"})

    def ended_as(self, part: Part) -> None:
        """Tell how it has ended: the call of a tool that it was asked in, or else the outermost around it."""
        if (in_tool := _IN_TOOL.get()) is not None:
            in_tool.append(part)
            return
        outermost = self
        while outermost.parent is not None:
            outermost = outermost.parent
        outermost.parts.append(part)

    def interrupted(self) -> None:
        """Note that it waits for a person, and so do those that have handed it work."""
        one: Invocation | None = self
        while one is not None:
            one.outcome = "interrupted"
            one = one.parent

    @property
    def name(self) -> str:
        """The trace and the span of it, as they are kept in a checkpoint."""
        context = self.span.get_span_context()
        return f"{context.trace_id:032x}-{context.span_id:016x}"


def current_invocation() -> Invocation | None:
    """Return the invocation that the running step is part of."""
    return RUNNING.get()


@contextmanager
def calling_tool() -> Generator[list[Part]]:
    """Yield how agents have ended that a tool asks, which is called in the block."""
    parts: list[Part] = []
    token = _IN_TOOL.set(parts)
    try:
        yield parts
    finally:
        _IN_TOOL.reset(token)


def is_asked_in_tool() -> bool:
    """Return whether the agent whose step is running was asked by a tool, in the words of another agent."""
    return _IN_TOOL.get() is not None


def current_place() -> dict[str, str | None]:
    """Return the trace, the span and the agent of the running step, as they stand in rows; None outside."""
    part_of = RUNNING.get()
    if part_of is None:
        return {"trace_id": None, "span_id": None, "agent": None}
    context = trace.get_current_span().get_span_context()
    return {
        "trace_id": f"{context.trace_id:032x}",
        "span_id": f"{context.span_id:016x}",
        "agent": part_of.agent,
    }


def _context_of(name: str) -> SpanContext | None:
    """Return the context of a span that a checkpoint names; None where the name can't be read."""
    trace_id, _, span_id = name.partition("-")
    try:
        return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(1))
    except ValueError:
        return None
