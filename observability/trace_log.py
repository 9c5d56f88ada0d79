"""What is asked and told of runs and spans."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

InStatus = Literal["running", "interrupted", "finished", "stopped", "failed"]
"""How a run stands: `interrupted`, it waits for a person; `stopped`, a limit ended it or somebody did."""
Rated = Literal[
    "rated", "liked", "disliked", "comment", "signal", "rephrased", "abandoned", "edited_approval"
]
"""People gave a score, one of 0.5 or more in the mean, or less; a comment; any signal, or this one."""


@dataclass(frozen=True, slots=True)
class WantedRuns:
    """Which runs are looked for; what is unset does not narrow them.

    Attributes:
        run_id: the whole id.
        run_ids: any of these.
        run_begins: what the id begins with.
        since: how far back, from the time of the database.
        least_usd: only runs of known cost, and of so many US dollars at least.
        most_usd: the same, at most.
        rated: only runs of which this was said, see `Rated`.
        priced: False finds runs that have asked a model whose price is not known; True those of known cost.
    """

    agent: str | None = None
    user: str | None = None
    tenant: str | None = None
    thread_id: str | None = None
    status: InStatus | None = None
    run_id: str | None = None
    run_ids: list[str] | None = None
    run_begins: str | None = None
    since: timedelta | None = None
    least_usd: Decimal | None = None
    most_usd: Decimal | None = None
    priced: bool | None = None
    rated: Rated | None = None


@dataclass(frozen=True, slots=True)
class RunStatus:
    """How a run stands."""

    run_id: str
    status: str
    started_at: datetime


@dataclass(frozen=True, slots=True)
class RunFigures:
    """A run, and what it took.

    Attributes:
        duration_ms: of all its invocations, without the time in which it waited for people.
        cost_usd: US dollars; None where the price of one of its models is not known, or none was asked.
    """

    run_id: str
    thread_id: str
    graph: str
    status: str
    reason: str | None
    question: str | None
    started_at: datetime
    finished_at: datetime | None
    tenant: str
    user_id: str
    duration_ms: float | None
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: Decimal | None
    model_calls: int


@dataclass(frozen=True, slots=True)
class SpanRow:
    """A span as it is kept; see `observability.names` for what stands in `attributes`."""

    trace_id: str
    span_id: str
    parent_id: str | None
    name: str
    operation: str
    agent: str | None
    step: str | None
    tool: str | None
    model: str | None
    provider: str | None
    run_id: str | None
    thread_id: str | None
    started_at: datetime
    duration_ms: float
    status: str
    outcome: str | None
    error_type: str | None
    input_tokens: int | None
    output_tokens: int | None
    cached_tokens: int | None
    reasoning_tokens: int | None
    cost_usd: Decimal | None
    attributes: dict[str, Any]
    events: list[dict[str, Any]]
    links: list[str]
