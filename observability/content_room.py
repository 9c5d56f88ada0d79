"""How much of what was said waits in a process with its spans, before all places together."""

from __future__ import annotations

import logging
import sys
import weakref
from collections import deque
from typing import TYPE_CHECKING, Final

from observability import names
from observability.span_copies import copied

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

ROOM_BYTES: Final = 16 * 2**20
"""Most bytes of content in spans that are not delivered yet."""
_NO_ROOM: Final = "all, since there was no room"
_log = logging.getLogger(__name__)


class ContentRoom:
    """Counts the content of spans as long as somebody holds them; beyond its room spans go without.

    Attributes:
        left_out: how many spans went without.
    """

    def __init__(self, room: int = ROOM_BYTES) -> None:
        self.left_out = 0
        self._room = room
        self._held = 0
        self._released: deque[int] = deque()
        """Filled from wherever a span goes, other threads included."""

    @property
    def held(self) -> int:
        """How many bytes of content are held."""
        while self._released:
            self._held -= self._released.popleft()
        return self._held

    def taken_in(self, span: ReadableSpan) -> ReadableSpan:
        """Return a span as it may wait: as it is, or without its content."""
        attributes = span.attributes or {}
        size = sum(sys.getsizeof(attributes[name]) for name in names.CONTENT if name in attributes)
        if not size:
            return span
        if self.held + size > self._room:
            return self._without(span)
        self._held += size
        weakref.finalize(span, self._released.append, size).atexit = False
        return span

    def _without(self, span: ReadableSpan) -> ReadableSpan:
        if not self.left_out:
            _log.warning("What was said is left out of spans: %s bytes of it wait already.", f"{self.held:,}")
        self.left_out += 1
        kept = {name: held for name, held in (span.attributes or {}).items() if name not in names.CONTENT}
        return copied(span, attributes=kept | {names.CONTENT_LEFT_OUT: _NO_ROOM})
