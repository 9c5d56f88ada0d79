"""Metrics for Prometheus, counted from finished spans beside the runs that wrote them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from core.prices import Price
from observability import names
from observability.redactor import redacted
from observability.span_store import NO_SUCH_TOOL, row_of

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from prometheus_client import CollectorRegistry

_BUCKETS_S: Final = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
_MOST_NAMES: Final = 200
"""Most names of one kind; further ones count as `other`."""
_NAMED_BY: Final = {
    names.INVOKE_AGENT: "agent",
    names.RUN_STEP: "step",
    names.CHAT: "model",
    names.EXECUTE_TOOL: "tool",
}
_TOKENS: Final = ("input_tokens", "output_tokens", "cached_tokens", "cache_write_tokens", "reasoning_tokens")


class Metrics:
    """The counters of a process, shared by all its event loops.

    Attributes:
        registry: what is shown to Prometheus.
    """

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram  # noqa: PLC0415 - only where metrics are on

        self.registry: CollectorRegistry = CollectorRegistry()
        told: dict[str, Any] = {"registry": self.registry, "namespace": "boring"}
        kind = ("operation", "name")
        self._durations = Histogram(
            "duration_seconds",
            "Time of agents, steps, model calls and tool calls.",
            kind,
            buckets=_BUCKETS_S,
            **told,
        )
        self._errors = Counter("errors", "Failures, by their kind.", (*kind, "error"), **told)
        self._waits = Counter("interrupts", "Ends that wait for a person.", kind, **told)
        self._tokens = Counter("tokens", "Tokens of model calls.", ("model", "kind"), **told)
        self._cost = Counter("cost_usd", "US dollars of calls whose price is known.", ("model",), **told)
        self._unpriced = Counter("unpriced_calls", "Calls whose price is not known.", ("model",), **told)
        self._spans = Gauge("outlet_spans", "What became of spans.", ("place", "state"), **told)
        self._others = Gauge(
            "outlet_items", "What became of decisions and feedback.", ("what", "place", "state"), **told
        )
        self._breakers = Gauge("breaker_open", "1 for an open breaker, 0.5 half open.", ("name",), **told)
        self._runs = Gauge("open_runs", "Runs that are not over.", ("status",), **told)
        self._queues = Gauge("queue_length", "What waits, of all processes.", ("queue",), **told)
        self._known: dict[str, set[str]] = {}

    def count(self, spans: Sequence[ReadableSpan], prices: Mapping[str, Price]) -> int:
        """Count finished spans, each once; return how many can't be, such as by what a tool has set."""
        left_out = 0
        for span in spans:
            try:
                self._count(row_of(span, prices))
            except (TypeError, ValueError):
                left_out += 1
        return left_out

    def _count(self, row: Mapping[str, Any]) -> None:
        operation = row["operation"]
        made_up = row["outcome"] == "unknown_tool"
        named = NO_SUCH_TOOL if made_up else row[_NAMED_BY.get(operation, "agent")]
        name = self._bounded(operation, named or "?")
        is_error = row["status"] == "error"
        kind = self._bounded("error", row["error_type"] or row["outcome"] or "error") if is_error else ""
        self._durations.labels(operation, name).observe(row["duration_ms"] / 1000)
        if is_error:
            self._errors.labels(operation, name, kind).inc()
        if row["status"] == "interrupted":
            self._waits.labels(operation, name).inc()
        if operation == names.CHAT and row["input_tokens"] is not None:
            for tokens in _TOKENS:
                self._tokens.labels(name, tokens.removesuffix("_tokens")).inc(row[tokens] or 0)
            if row["cost_usd"] is None:
                self._unpriced.labels(name).inc()
            else:
                self._cost.labels(name).inc(float(row["cost_usd"]))

    def _bounded(self, kind: str, name: str) -> str:
        known, name = self._known.setdefault(kind, set()), redacted(name)
        if name not in known and len(known) >= _MOST_NAMES:
            return "other"
        known.add(name)
        return name

    def show_outlet(self, place: str, **counts: int) -> None:
        """Show what became of the spans for a place, and how many wait."""
        for state, count in counts.items():
            self._spans.labels(place, state).set(count)

    def show_others(self, what: str, place: str, **counts: int) -> None:
        """Show what became of other things than spans for a place, and how many wait."""
        for state, count in counts.items():
            self._others.labels(what, place, state).set(count)

    def show_states(
        self, breakers: Mapping[str, float], runs: Mapping[str, int], queues: Mapping[str, int]
    ) -> None:
        """Show how breakers, runs and queues stand, in place of what was shown before.

        Args:
            breakers: 1 for an open one, 0.5 for a half open one, 0 for a closed one.
            runs: how many are not over, by status.
            queues: how many wait in each.
        """
        self._breakers.clear()
        self._runs.clear()
        for name, value in breakers.items():
            self._breakers.labels(name).set(value)
        for status, count in runs.items():
            self._runs.labels(status).set(count)
        for queue, count in queues.items():
            self._queues.labels(queue).set(count)


@lru_cache(maxsize=1)
def process_metrics() -> Metrics:
    """Return the metrics of this process."""
    return Metrics()
