"""Spans that are written by OpenTelemetry's API, and take a third of the time of the SDK's.

Every run writes ten. The SDK's look at each attribute several times, take locks, and ask a sampler and a
meter that have nothing to say here; that was half of what tracing cost a run. What a finished span is, and
how it is sent on, is the SDK's all the same.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from time import time_ns
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import trace
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from typing_extensions import override

from observability import names

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.util.types import Attributes, AttributeValue

MOST: Final = 128
"""Attributes, events and links that a span holds. Source: the defaults of OpenTelemetry's specification."""
_OURS: Final = frozenset(held for held in vars(names).values() if isinstance(held, str))
"""What is kept beyond them: how a call has ended is told last, when what a tool told stands there already."""
MOST_CHARS: Final = 2**18
"""Of a text in an attribute, which is cut there: more than anything that we write has."""
_PLAIN: Final = frozenset({str, int, float, bool})
_UNSET: Final = Status()
_SAMPLED: Final = TraceFlags.SAMPLED
_RANDOM: Final = TraceFlags.RANDOM_TRACE_ID


class LightTracer(trace.Tracer):
    """Begins spans, all of which are kept."""

    def __init__(self, name: str, on_end: Callable[[ReadableSpan], None]) -> None:
        """Make one; `on_end` takes each span that has ended, in whichever thread that is."""
        self.on_end = on_end
        self.scope = InstrumentationScope(name, "")
        self.resource = Resource.create()
        self._ids = RandomIdGenerator()

    @override
    def start_span(
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
    ) -> LightSpan:
        above = trace.get_current_span(context).get_span_context()
        parent = above if above.is_valid else None
        own = SpanContext(
            parent.trace_id if parent else self._ids.generate_trace_id(),
            self._ids.generate_span_id(),
            is_remote=False,
            trace_flags=TraceFlags(_SAMPLED | (parent.trace_flags & _RANDOM if parent else _RANDOM)),
            trace_state=parent.trace_state if parent else None,
        )
        span = LightSpan(self, name, own, parent, kind, start_time or time_ns())
        if attributes:
            span.set_attributes(attributes)
        for link in links or ():
            span.add_link(link.context, link.attributes)
        return span

    @override
    @contextmanager
    def start_as_current_span(  # pyright: ignore[reportIncompatibleMethodOverride] - takes what the API's takes
        self, name: str, *args: Any, end_on_exit: bool = True, **options: Any
    ) -> Generator[Span]:
        told = {kept: options.get(kept, True) for kept in ("record_exception", "set_status_on_exception")}
        with trace.use_span(self.start_span(name, *args, **options), end_on_exit, **told) as span:
            yield span


class LightSpan(Span):
    """A span while it lasts; what is told of it after its end is not kept."""

    __slots__ = (
        "_attributes",
        "_began",
        "_context",
        "_events",
        "_kind",
        "_links",
        "_name",
        "_open",
        "_parent",
        "_status",
        "_tracer",
    )

    def __init__(  # noqa: PLR0913, PLR0917 - made in one place, once for every span
        self,
        tracer: LightTracer,
        name: str,
        context: SpanContext,
        parent: SpanContext | None,
        kind: SpanKind,
        began: int,
    ) -> None:
        self._tracer = tracer
        self._name = name
        self._context = context
        self._parent = parent
        self._kind = kind
        self._began = began
        self._open = True
        self._status: Status | None = None
        self._attributes: dict[str, Any] = {}
        self._events: list[Event] = []
        self._links: list[Link] = []

    @override
    def get_span_context(self) -> SpanContext:
        return self._context

    @override
    def is_recording(self) -> bool:
        return self._open

    @override
    def set_attributes(self, attributes: Mapping[str, AttributeValue]) -> None:
        held = self._attributes
        for name, value in attributes.items():
            if not self._open:
                return
            if len(held) >= MOST and name not in held and name not in _OURS:
                continue
            if type(value) in _PLAIN and type(name) is str and name:
                held[name] = value[:MOST_CHARS] if type(value) is str and len(value) > MOST_CHARS else value
            else:  # a sequence, or what is none of an attribute's types
                held.update(_cleaned({name: value}))

    @override
    def set_attribute(self, key: str, value: AttributeValue) -> None:
        if type(key) is str:
            self.set_attributes({key: value})

    @override
    def add_event(self, name: str, attributes: Attributes = None, timestamp: int | None = None) -> None:
        if self._open and len(self._events) < MOST:
            self._events.append(Event(name, _cleaned(attributes), timestamp or time_ns()))

    @override
    def add_link(self, context: SpanContext, attributes: Attributes = None) -> None:
        if self._open and len(self._links) < MOST:
            self._links.append(Link(context, _cleaned(attributes)))

    @override
    def update_name(self, name: str) -> None:
        if self._open:
            self._name = name

    @override
    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        told = status if isinstance(status, Status) else Status(status, description)
        is_final = self._status is not None and self._status.status_code is StatusCode.OK
        if self._open and not is_final and told.status_code is not StatusCode.UNSET:
            self._status = told

    @override
    def record_exception(
        self,
        exception: BaseException,
        attributes: Attributes = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        kind = type(exception)
        told: dict[str, Any] = {
            "exception.type": f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins."),
            "exception.message": str(exception),
            "exception.stacktrace": "".join(traceback.format_exception(exception)),
            "exception.escaped": str(escaped),
        }
        self.add_event("exception", {**told, **(attributes or {})}, timestamp)

    @override
    def end(self, end_time: int | None = None) -> None:
        if not self._open:
            return
        self._open = False
        finished = ReadableSpan(
            self._name,
            self._context,
            self._parent,
            self._tracer.resource,
            self._attributes.copy(),  # another thread may be about to add to them
            self._events.copy(),
            self._links.copy(),
            self._kind,
            status=self._status or _UNSET,
            start_time=self._began,
            end_time=end_time or time_ns(),
            instrumentation_scope=self._tracer.scope,
        )
        self._tracer.on_end(finished)


def _cleaned(attributes: Attributes) -> dict[str, Any]:
    """Return attributes with the types that attributes may have, as the SDK makes them so."""
    return dict(BoundedAttributes(MOST, attributes))
