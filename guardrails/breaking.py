"""The policy of circuit breakers: pure functions over one breaker and a clock.

Closed, calls pass. After `THRESHOLD` failures in a row it opens: calls are refused at once for the cooldown.
Then one call is let through as a probe, and the breaker is half open until that call has ended or its time
is over. A probe that succeeds closes the breaker; one that fails opens it again for twice as long; one that
ends without a word on health, such as one that was cancelled, is followed by another at once.

`tools.breakers` does the same in SQL, so that all processes share one breaker.

Source: Michael T. Nygard, Release It!, 2nd edition, chapter 5, "Circuit Breaker".
"""

from dataclasses import dataclass, replace
from typing import Literal

BreakerCondition = Literal["closed", "open", "half_open"]
THRESHOLD = 5
"""Failures in a row that open a breaker."""
COOLDOWN_S = 10.0
"""Seconds that a breaker stays open at first; doubled by each failed probe."""
MAX_COOLDOWN_S = 300.0
PROBE_LIMIT_S = 60.0
"""Seconds after which a probe that nobody heard of again is given up, and another one let through."""


@dataclass(frozen=True, slots=True)
class Breaker:
    """One circuit breaker.

    Attributes:
        failures: in a row, since the last success.
        cooldown_s: how long it stays open, or stayed open last.
        reopen_at_s: when the next probe may be let through; None while closed.
    """

    state: BreakerCondition = "closed"
    failures: int = 0
    cooldown_s: float = COOLDOWN_S
    reopen_at_s: float | None = None


def after_failure(breaker: Breaker, now_s: float) -> Breaker:
    """Return the breaker after a failed call; one that began before it opened changes nothing."""
    if breaker.state == "open":
        return breaker
    failures = breaker.failures + 1
    if breaker.state == "closed" and failures < THRESHOLD:
        return replace(breaker, failures=failures)
    is_first = breaker.state == "closed"
    cooldown_s = COOLDOWN_S if is_first else min(2 * breaker.cooldown_s, MAX_COOLDOWN_S)
    return Breaker("open", failures, cooldown_s, now_s + cooldown_s)


def after_success(breaker: Breaker) -> Breaker:
    """Return the breaker after a call that succeeded; see `after_failure` for one that began earlier."""
    return breaker if breaker.state == "open" else Breaker()


def probed(breaker: Breaker, now_s: float) -> Breaker | None:
    """Return the breaker once a call has been let through as its probe; None where none may be."""
    if breaker.reopen_at_s is None or now_s < breaker.reopen_at_s:
        return None
    return replace(breaker, state="half_open", reopen_at_s=now_s + PROBE_LIMIT_S)


def given_back(breaker: Breaker, now_s: float) -> Breaker:
    """Return the breaker once its probe has ended without telling anything; the next call is let through."""
    return breaker if breaker.state != "half_open" else replace(breaker, state="open", reopen_at_s=now_s)
