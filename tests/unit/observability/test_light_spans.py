"""The spans we write are those that OpenTelemetry's SDK would have written."""

from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider, sampling
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags, Tracer
from typing_extensions import override

from observability import names
from observability.light_spans import MOST, MOST_CHARS, LightTracer


class Odd(str):
    """A text of another type."""

    __slots__ = ()


def sdk_tracer(on_end: Callable[[ReadableSpan], None]) -> Tracer:
    class Taking(SpanProcessor):
        def on_end(self, span: ReadableSpan) -> None:
            on_end(span)

    provider = TracerProvider(sampler=sampling.ALWAYS_ON, shutdown_on_exit=False)
    provider.add_span_processor(Taking())
    return provider.get_tracer("boring_agents")


def light_tracer(on_end: Callable[[ReadableSpan], None]) -> Tracer:
    return LightTracer("boring_agents", on_end)


def plain(span: Span) -> None:
    span.set_attributes({"a": "text", "b": 1, "c": 1.5, "d": True, "list": ["x", "y"], "none": None})  # pyright: ignore[reportArgumentType]
    span.set_attribute("a", "another text")


def odd_attributes(span: Span) -> None:
    odd: Any = {"object": object, "odd": Odd("text"), "map": {"a": [1, {"b": None}]}, "": 1, "bytes": b"x"}
    span.set_attributes(odd)
    span.set_attribute(7, "no name")  # pyright: ignore[reportArgumentType]


def changed_later(span: Span) -> None:
    held = ["x"]
    span.set_attribute("held", held)
    span.add_event("told", {"held": held}, timestamp=5)
    held.append("y")


def events(span: Span) -> None:
    span.add_event("first", {"boring.attempt": 1}, timestamp=5)
    span.add_event("second", timestamp=6)
    span.add_link(SpanContext(1, 2, is_remote=True), {"boring.link": "resumes"})


def failed(span: Span) -> None:
    span.set_status(Status(StatusCode.ERROR, "first"))
    span.set_status(StatusCode.UNSET)
    span.set_status(StatusCode.ERROR, "second")


def ok_is_final(span: Span) -> None:
    span.set_status(StatusCode.OK)
    span.set_status(StatusCode.ERROR, "too late")


def renamed(span: Span) -> None:
    span.update_name("another")


def after_the_end(span: Span) -> None:
    span.set_attribute("kept", 1)
    span.end(end_time=9)
    for change in (plain, events, failed, renamed):
        change(span)
    span.end(end_time=10)


def an_exception(span: Span) -> None:
    with pytest.raises(pytest.UsageError) as raised:
        raise pytest.UsageError("no")
    span.record_exception(raised.value, {"more": 1}, timestamp=5)
    span.record_exception(ValueError("bad"), timestamp=6, escaped=True)


def told(span: ReadableSpan) -> dict[str, Any]:
    (scoped,) = encode_spans([span]).resource_spans
    return {
        "name": span.name,
        "kind": span.kind,
        "attributes": dict(span.attributes or {}),
        "events": [(one.name, dict(one.attributes or {}), one.timestamp) for one in span.events],
        "links": [(one.context, dict(one.attributes or {})) for one in span.links],
        "status": (span.status.status_code, span.status.description),
        "times": (span.start_time, span.end_time),
        "resource": span.resource.attributes,
        "scope": span.instrumentation_scope,
        "flags": scoped.scope_spans[0].spans[0].flags,
    }


CHANGES = (
    plain,
    odd_attributes,
    changed_later,
    events,
    failed,
    ok_is_final,
    renamed,
    after_the_end,
    an_exception,
)


@pytest.mark.parametrize("change", CHANGES, ids=lambda one: one.__name__)
def test_a_span_holds_what_the_sdk_s_would_hold(change: Callable[[Span], None]) -> None:
    found: list[dict[str, Any]] = []
    for tracer_of in (sdk_tracer, light_tracer):
        ended: list[ReadableSpan] = []
        link = Link(SpanContext(3, 4, is_remote=True), {"a": 1})
        span = tracer_of(ended.append).start_span(
            "step", kind=SpanKind.CLIENT, attributes={"first": "x"}, links=[link], start_time=3
        )
        assert span.is_recording()
        change(span)
        span.end(end_time=9)
        assert not span.is_recording()
        assert len(ended) == 1
        found.append(told(ended[0]))
    assert found[1] == found[0]


@pytest.mark.parametrize("flags", [TraceFlags.DEFAULT, TraceFlags.SAMPLED, 3])
def test_a_span_is_below_another_as_the_sdk_s_is(flags: int) -> None:
    above = SpanContext(
        1, 2, is_remote=True, trace_flags=TraceFlags(flags), trace_state=trace.TraceState([("a", "b")])
    )
    context = trace.set_span_in_context(trace.NonRecordingSpan(above))
    contexts: list[SpanContext] = []
    for tracer_of in (sdk_tracer, light_tracer):
        ended: list[ReadableSpan] = []
        with tracer_of(ended.append).start_as_current_span("one", context=context) as span:
            assert trace.get_current_span() is span
        assert ended[0].parent == above
        contexts.append(span.get_span_context())
    theirs, ours = contexts
    assert (ours.trace_id, ours.trace_flags, ours.trace_state, ours.is_remote) == (
        theirs.trace_id,
        theirs.trace_flags,
        theirs.trace_state,
        theirs.is_remote,
    )


def test_spans_without_one_above_begin_traces_of_their_own() -> None:
    ended: list[ReadableSpan] = []
    tracer = light_tracer(ended.append)
    for _ in range(2):
        tracer.start_span("one").end()
    assert len({one.context.trace_id for one in ended if one.context}) == 2
    assert [one.parent for one in ended] == [None, None]


def test_an_error_in_the_current_span_is_told_as_the_sdk_s_tells_it() -> None:
    found: list[Any] = []
    for tracer_of in (sdk_tracer, light_tracer):
        ended: list[ReadableSpan] = []
        with pytest.raises(ValueError, match="bad"), tracer_of(ended.append).start_as_current_span("one"):
            raise ValueError("bad")
        found.append((ended[0].status.status_code, ended[0].status.description, len(ended[0].events)))
    assert found[1] == found[0]


def test_a_span_holds_no_more_than_some() -> None:
    ended: list[ReadableSpan] = []
    span = light_tracer(ended.append).start_span("one")
    for number in range(MOST + 5):
        span.set_attribute(f"name {number}", number)
        span.add_event("told")
        span.add_link(SpanContext(1, 2, is_remote=True))
    span.set_attribute("name 0", "changed")
    span.end()
    (one,) = ended
    assert (len(one.attributes or {}), len(one.events), len(one.links)) == (MOST, MOST, MOST)
    assert (one.attributes or {})["name 0"] == "changed"


def test_how_a_call_has_ended_is_told_whatever_a_tool_told_before() -> None:
    ended: list[ReadableSpan] = []
    span = light_tracer(ended.append).start_span("one")
    span.set_attributes({f"name {number}": number for number in range(MOST + 5)})
    span.set_attributes({"another": 1, names.OUTCOME: "interrupted", "name 0": "changed"})
    span.end()
    told = ended[0].attributes or {}
    assert (len(told), told[names.OUTCOME], told["name 0"]) == (MOST + 1, "interrupted", "changed")


def test_what_is_being_told_when_a_span_ends_does_not_change_it_afterwards() -> None:
    ended: list[ReadableSpan] = []
    spans = [light_tracer(ended.append).start_span("one") for _ in range(3)]

    class Ends:
        """What ends the spans before it has told its text, as another thread may."""

        @override
        def __str__(self) -> str:
            for span in spans:
                span.end()
            return "late"

    late: Any = {"late": Ends()}
    spans[0].set_attributes(late)
    spans[1].add_event("late", late)
    spans[2].add_link(SpanContext(1, 2, is_remote=True), late)
    assert [(len(one.attributes or {}), len(one.events), len(one.links)) for one in ended] == [(0, 0, 0)] * 3


def test_a_very_long_text_is_cut() -> None:
    ended: list[ReadableSpan] = []
    span = light_tracer(ended.append).start_span("one", attributes={"long": "x" * (MOST_CHARS + 1)})
    span.set_attribute("as it is", "y" * MOST_CHARS)
    span.end()
    assert {name: len(str(held)) for name, held in (ended[0].attributes or {}).items()} == {
        "long": MOST_CHARS,
        "as it is": MOST_CHARS,
    }
