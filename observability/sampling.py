"""Which traces leave the process: a share of them, and all that have an error."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from opentelemetry.trace import StatusCode

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

ROOM: Final = 4096
"""Most spans that are held until it is known whether their trace is sent."""
_DECIDED: Final = 1024
"""Of how many traces the decision is remembered, for spans that end after their root."""
_BITS: Final = 64


def in_share(trace_id: int, share: float) -> bool:
    """Tell whether a trace is in the share that is sent; every process decides alike.

    Source: OpenTelemetry's sampler TraceIdRatioBased, which compares the lower 64 bits of the random id.
    """
    return trace_id % 2**_BITS < round(share * 2**_BITS)


class Sampling:
    """Passes spans on, or holds them until the root of their trace has ended and then drops or passes all.

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
        self._sent: OrderedDict[int, bool] = OrderedDict()

    def put(self, span: ReadableSpan) -> None:
        """Take a span in."""
        context = span.get_span_context()
        trace_id = context.trace_id if context else 0
        if in_share(trace_id, self._share) or self._sent.get(trace_id):
            self._pass_on(span)
        elif span.status.status_code is StatusCode.ERROR:
            self._send(trace_id, span)
        elif trace_id in self._sent:
            self.left_out += 1
        else:
            self._hold(trace_id, span)

    def _send(self, trace_id: int, span: ReadableSpan) -> None:
        """Pass on all of a trace, since it has an error; what ends later follows."""
        for one in [*self._taken(trace_id), span]:
            self._pass_on(one)
        self._remember(trace_id, sent=True)

    def _hold(self, trace_id: int, span: ReadableSpan) -> None:
        if span.parent is None or span.parent.is_remote:
            self.left_out += len(self._taken(trace_id)) + 1
            self._remember(trace_id, sent=False)
            return
        self._held.setdefault(trace_id, []).append(span)
        self._many += 1
        while self._many > self._room:
            self.dropped += len(self._taken(next(iter(self._held))))

    def _taken(self, trace_id: int) -> list[ReadableSpan]:
        spans = self._held.pop(trace_id, [])
        self._many -= len(spans)
        return spans

    def _remember(self, trace_id: int, *, sent: bool) -> None:
        self._sent[trace_id] = sent
        while len(self._sent) > _DECIDED:
            self._sent.popitem(last=False)
