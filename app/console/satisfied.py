"""What the page of charts shows of how content people are: by day, by agent, and signals apart."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from observability.satisfaction import Satisfaction


@dataclass(frozen=True, slots=True)
class Liking:
    """How many runs were rated, and liked; of a day or of an agent."""

    rated: int
    liked: int

    @property
    def percent(self) -> float:
        """How many of the rated were liked, in percent; none were rated: 0."""
        return 100 * self.liked / self.rated if self.rated else 0.0


@dataclass(frozen=True, slots=True)
class Contentment:
    """What the page shows.

    Attributes:
        days: every day of the period, the oldest first, also those on which nothing was rated.
        agents: those of which runs were rated.
        rows: each day and agent of which runs were rated, the newest day first.
        signals: agents with signals, and how many runs had each: rephrased, abandoned, edited approval.
    """

    days: Sequence[tuple[date, Liking]]
    agents: Sequence[tuple[str, Liking]]
    rows: Sequence[tuple[date, str, Liking]]
    signals: Sequence[tuple[str, tuple[int, int, int]]]


def contentment(found: Sequence[Satisfaction], since: timedelta) -> Contentment:
    """Add up what was found in a period that ends now."""
    by_agent: dict[str, list[Satisfaction]] = defaultdict(list)
    for one in found:
        by_agent[one.agent].append(one)
    now = datetime.now(UTC)
    first = min([(now - since).date(), *(one.day for one in found)])
    days = [first + timedelta(days=number) for number in range((now.date() - first).days + 1)]
    liking = [(name, _liking(ones)) for name, ones in sorted(by_agent.items())]
    signals = [(name, _signals(ones)) for name, ones in sorted(by_agent.items())]
    return Contentment(
        days=[(day, _liking(one for one in found if one.day == day)) for day in days],
        agents=[(name, one) for name, one in liking if one.rated],
        rows=[(one.day, one.agent, _liking([one])) for one in reversed(found) if one.rated],
        signals=[(name, numbers) for name, numbers in signals if any(numbers)],
    )


def _liking(ones: Iterable[Satisfaction]) -> Liking:
    held = list(ones)
    return Liking(sum(one.rated for one in held), sum(one.liked for one in held))


def _signals(ones: Sequence[Satisfaction]) -> tuple[int, int, int]:
    return (
        sum(one.rephrased for one in ones),
        sum(one.abandoned for one in ones),
        sum(one.edited_approval for one in ones),
    )
