"""Which traces leave the process: a share of them, and all that have an error."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeVar

from opentelemetry.trace import StatusCode

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

Known = TypeVar("Known")
ROOM: Final = 4096
"""Most spans that are held until it is known whether their trace is sent."""
_DECIDED: Final = 8192
"""Of how many traces and spans the decision is remembered, for spans that end after their root."""
_BITS: Final = 64


def in_share(trace_id: int, share: float) -> bool:
    """Tell whether a trace is in the share that is sent; every process decides alike.

    Source: OpenTelemetry's sampler TraceIdRatioBased, which compares the lower 64 bits of the random id.
    """
    return trace_id % 2**_BITS < round(share * 2**_BITS)


class Sampling:
    """Passes spans on, or holds them until their root has ended and then drops or passes all.

    A root is the first span of this process in a trace, an invocation. Where a caller's own span is around
    several, they are of one trace; each is held and dropped by itself.

    Attributes:
        left_out: spans that were not sent since their trace was not in the share.
        dropped: spans that were given up before it was known, since there was no room.
    """

    def __init__(self, share: float, pass_on: Callable[[ReadableSpan], None], *, room: int = ROOM) -> None:
        self.left_out = 0
        self.dropped = 0
        self._share = share
        self._pass_on = pass_on
        self._room = room
        self._held: OrderedDict[int, list[ReadableSpan]] = OrderedDict()
        self._many = 0
        self._sent: OrderedDict[int, None] = OrderedDict()
        self._over: OrderedDict[tuple[int, int], None] = OrderedDict()

    def put(self, span: ReadableSpan) -> None:
        """Take a span in."""
        context = span.get_span_context()
        trace_id = context.trace_id if context else 0
        if in_share(trace_id, self._share) or trace_id in self._sent:
            self._pass_on(span)
        elif span.status.status_code is StatusCode.ERROR:
            self._send(trace_id, span)
        elif span.parent is None or span.parent.is_remote:
            self._leave_out(trace_id, span)
        elif (trace_id, span.parent.span_id) in self._over:
            self._leave_out(trace_id, span)  # it ends after its root
        else:
            self._hold(trace_id, span)

    def _send(self, trace_id: int, span: ReadableSpan) -> None:
        """Pass on all that is held of a trace, since it has an error; what ends later follows."""
        for one in [*self._taken(trace_id), span]:
            self._pass_on(one)
        _remember(self._sent, trace_id)

    def _leave_out(self, trace_id: int, top: ReadableSpan) -> None:
        """Drop a span and all that is held below it."""
        held = self._taken(trace_id)
        above = {_id_of(one): one.parent.span_id for one in held if one.parent}
        over = {_id_of(top)}
        for one in held:
            place = _id_of(one)
            while place in above:
                place = above[place]
            if place == _id_of(top):
                over.add(_id_of(one))
            else:
                self._hold(trace_id, one)
        self.left_out += len(over)
        _remember(self._over, *((trace_id, one) for one in over))

    def _hold(self, trace_id: int, span: ReadableSpan) -> None:
        self._held.setdefault(trace_id, []).append(span)
        self._many += 1
        while self._many > self._room:
            self.dropped += len(self._taken(next(iter(self._held))))

    def _taken(self, trace_id: int) -> list[ReadableSpan]:
        spans = self._held.pop(trace_id, [])
        self._many -= len(spans)
        return spans


def _id_of(span: ReadableSpan) -> int:
    context = span.get_span_context()
    return context.span_id if context else 0


def _remember(known: OrderedDict[Known, None], *what: Known) -> None:
    known.update(dict.fromkeys(what))
    while len(known) > _DECIDED:
        known.popitem(last=False)
