from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from guardrails.breaking import (
    COOLDOWN_S,
    MAX_COOLDOWN_S,
    PROBE_LIMIT_S,
    THRESHOLD,
    Breaker,
    after_failure,
    after_success,
    given_back,
    probed,
)


class Breaking(RuleBasedStateMachine):
    """Any order of calls, ends and time; what must always hold stands in the rules and invariants."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker()
        self.now_s = 0.0
        self.in_a_row = 0
        self.probed_at_s: float | None = None

    @rule(seconds=st.floats(0, 400))
    def time_passes(self, seconds: float) -> None:
        self.now_s += seconds

    @rule()
    def a_call_fails(self) -> None:
        before = self.breaker
        self.breaker = after_failure(before, self.now_s)
        self.in_a_row += 1
        if before.state == "open":
            assert self.breaker == before
        if before.state == "closed":
            assert (self.breaker.state == "open") == (before.failures + 1 >= THRESHOLD)
        if before.state == "half_open":
            assert self.breaker.cooldown_s == min(2 * before.cooldown_s, MAX_COOLDOWN_S)
        if before.state != "open" and self.breaker.state == "open":
            assert self.breaker.reopen_at_s == self.now_s + self.breaker.cooldown_s
            self.probed_at_s = None

    @rule()
    def a_call_succeeds(self) -> None:
        before = self.breaker
        self.breaker = after_success(before)
        assert self.breaker == (before if before.state == "open" else Breaker())
        if before.state != "open":
            self.in_a_row = 0

    @rule()
    def a_call_asks(self) -> None:
        before = self.breaker
        through = probed(before, self.now_s)
        if through is None:
            return
        assert before.state != "closed"
        assert before.reopen_at_s is not None
        assert self.now_s >= before.reopen_at_s
        if before.state == "half_open" and self.probed_at_s is not None:
            assert self.now_s >= self.probed_at_s + PROBE_LIMIT_S
        assert probed(through, self.now_s) is None
        self.breaker, self.probed_at_s = through, self.now_s

    @rule()
    def a_probe_tells_nothing(self) -> None:
        before = self.breaker
        self.breaker = given_back(before, self.now_s)
        if before.state == "half_open":
            assert probed(self.breaker, self.now_s) is not None
            self.probed_at_s = None
        else:
            assert self.breaker == before

    @invariant()
    def it_waits_for_something_unless_closed(self) -> None:
        assert (self.breaker.state == "closed") == (self.breaker.reopen_at_s is None)
        assert COOLDOWN_S <= self.breaker.cooldown_s <= MAX_COOLDOWN_S

    @invariant()
    def closed_there_were_fewer_failures_than_open_it(self) -> None:
        if self.breaker.state == "closed":
            assert self.breaker.failures == self.in_a_row < THRESHOLD


def test_each_failed_probe_doubles_the_cooldown_up_to_its_most() -> None:
    breaker, cooldowns = Breaker("half_open", THRESHOLD, COOLDOWN_S, 0.0), list[float]()
    for _ in range(6):
        breaker = replace(after_failure(breaker, 0.0), state="half_open")
        cooldowns.append(breaker.cooldown_s)
    assert cooldowns == [20, 40, 80, 160, 300, 300]


TestBreaking = Breaking.TestCase
TestBreaking.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
