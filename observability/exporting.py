"""Spans sent to a place that takes OTLP over HTTP."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import httpx
from opentelemetry.trace import INVALID_SPAN_CONTEXT, Link, SpanContext, Status, StatusCode, TraceState

from core.errors import TransientError
from core.loading import load
from core.prices import Price
from core.trust import system_trust
from observability import names
from observability.destinations import Destination
from observability.outlet import RefusedError
from observability.redactor import redacted, redacted_value
from observability.span_content import kept_content
from observability.span_copies import copied
from observability.span_store import in_portions, row_of

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import Event, ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

TIMEOUT_S: Final = 10.0
"""How long a place may take over one batch."""
_LATER: Final = frozenset({429, 502, 503, 504})
"""Answers after which the same batch is sent again. Source: the specification of OTLP over HTTP."""
_ENCODER: Final = "opentelemetry.exporter.otlp.proto.common.trace_encoder"


class Exporter:
    """Sends spans to one place."""

    def __init__(self, to: Destination, prices: Mapping[str, Price], client: httpx.AsyncClient) -> None:
        self._to = to
        self._prices = prices
        self._client = client

    async def deliver(self, spans: Sequence[ReadableSpan]) -> int:
        """Send a batch; return how many of it the place did not take.

        Raises:
            TransientError: the place can't be reached, or wants the batch later.
            RefusedError: it does not want it.
        """
        await load(_ENCODER)
        dressed = [
            one for some in in_portions(spans) for one in await asyncio.to_thread(self._all_dressed, some)
        ]
        body = await asyncio.to_thread(self._encoded, dressed)
        headers = {
            **self._to.headers,
            "content-type": "application/x-protobuf",
            "content-encoding": "gzip",
        }
        try:
            reply = await self._client.post(self._to.url, content=body, headers=headers)
        except httpx.HTTPError as error:
            raise TransientError(type(error).__name__) from error
        if reply.status_code in _LATER:
            raise TransientError(f"HTTP {reply.status_code}")
        if not reply.is_success:
            raise RefusedError(f"HTTP {reply.status_code}")
        return _not_taken(reply)

    def _encoded(self, spans: Sequence[ReadableSpan]) -> bytes:
        from opentelemetry.exporter.otlp.proto.common.trace_encoder import (  # noqa: PLC0415 - loaded by `deliver`
            encode_spans,
        )

        return gzip.compress(encode_spans(spans).SerializeToString(), compresslevel=1)

    def _all_dressed(self, spans: Sequence[ReadableSpan]) -> list[ReadableSpan]:
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - loaded by `deliver`

        resource = Resource({"service.name": "boring-agents", **self._to.resource})
        return [self._dressed(span, resource) for span in spans]

    def _dressed(self, span: ReadableSpan, resource: Resource) -> ReadableSpan:
        """Return a span as this place wants to see it, redacted once more, whoever wrote it."""
        from opentelemetry.sdk.trace import Event  # noqa: PLC0415 - loaded by `deliver`

        row, apart = row_of(span, self._prices), {*names.PLACES, *names.CONTENT}
        own = {name: held for name, held in (span.attributes or {}).items() if name not in apart}
        if names.COST in own:
            row["cost_usd"] = own[names.COST]
        events = [*span.events, *self._exceptions(span, row)]
        return copied(
            span,
            name=redacted(span.name),
            resource=resource,
            attributes=redacted_value({**own, **self._to.dialect(row)}) | self._said(span),
            events=[
                Event(redacted(one.name), redacted_value(one.attributes or {}), timestamp=one.timestamp)
                for one in events
            ],
            context=_context(span),
            instrumentation_scope=_scope(span),
            links=[Link(one.context, redacted_value(one.attributes or {})) for one in span.links],
            status=Status(span.status.status_code, _description(span)),
        )

    def _said(self, span: ReadableSpan) -> dict[str, Any]:
        """Return the attributes that tell what was said, redacted whatever `BORING_CONTENT` is."""
        attributes = span.attributes or {}
        kept = kept_content(attributes, "redacted")
        if not kept:
            return {}
        operation = attributes.get(names.OPERATION)
        return kept | self._to.content({**kept, names.OPERATION: operation})

    def _exceptions(self, span: ReadableSpan, row: Mapping[str, Any]) -> list[Event]:
        from opentelemetry.sdk.trace import Event  # noqa: PLC0415 - loaded by `deliver`

        if not self._to.names_exceptions or row["status"] != "error":
            return []
        kind = str(row["error_type"] or row["outcome"] or "error")
        return [
            Event("exception", {"exception.type": kind, "exception.message": kind}, timestamp=span.end_time)
        ]


@asynccontextmanager
async def opened_exporters(
    places: Sequence[Destination], prices: Mapping[str, Price]
) -> AsyncGenerator[list[Exporter]]:
    """Yield an exporter for each place; their connections close with the block."""
    if not places:
        yield []
        return
    trust = await asyncio.to_thread(system_trust)
    async with httpx.AsyncClient(verify=trust, timeout=TIMEOUT_S) as client:
        yield [Exporter(one, prices, client) for one in places]


def _description(span: ReadableSpan) -> str | None:
    """Return what the span says of its error, redacted; only an error may say something."""
    told = span.status.description
    return redacted(told) if told and span.status.status_code is StatusCode.ERROR else None


def _context(span: ReadableSpan) -> SpanContext:
    """Return the context of a span without what is private of its trace state: such an entry is left out."""
    context = span.get_span_context() or INVALID_SPAN_CONTEXT
    left = [
        (name, held)
        for name, held in context.trace_state.items()
        if redacted_value({name: held}) == {name: held}
    ]
    return SpanContext(
        context.trace_id, context.span_id, context.is_remote, context.trace_flags, TraceState(left)
    )


def _scope(span: ReadableSpan) -> InstrumentationScope | None:
    """Return what wrote a span, redacted."""
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope  # noqa: PLC0415 - loaded by `deliver`

    scope = span.instrumentation_scope
    return scope and InstrumentationScope(
        redacted(scope.name),
        scope.version and redacted(scope.version),
        scope.schema_url and redacted(scope.schema_url),
        redacted_value(scope.attributes or {}),
    )


def _not_taken(reply: httpx.Response) -> int:
    """Return how many spans a place says that it has rejected."""
    if not reply.content or not reply.headers.get("content-type", "").startswith("application/x-protobuf"):
        return 0
    from google.protobuf.message import DecodeError  # noqa: PLC0415 - loaded with the encoder
    from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as told  # noqa: PLC0415

    try:
        return told.ExportTraceServiceResponse.FromString(reply.content).partial_success.rejected_spans
    except DecodeError:
        return 0
