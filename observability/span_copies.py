"""Copies of finished spans, of which nobody may change the one that others hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan


def copied(span: ReadableSpan, **changed: Any) -> ReadableSpan:
    """Return a copy of a finished span in which these fields have other values.

    Args:
        span: the finished one.
        changed: by the names that `ReadableSpan` is made with, such as `attributes`.
    """
    from opentelemetry.sdk.trace import ReadableSpan as Copy  # noqa: PLC0415 - loaded by the tracing

    whole: dict[str, Any] = {
        "name": span.name,
        "context": span.get_span_context(),
        "parent": span.parent,
        "resource": span.resource,
        "attributes": span.attributes,
        "events": span.events,
        "links": span.links,
        "kind": span.kind,
        "status": span.status,
        "start_time": span.start_time,
        "end_time": span.end_time,
        "instrumentation_scope": span.instrumentation_scope,
    }
    return Copy(**{**whole, **changed})
