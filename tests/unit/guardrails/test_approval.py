"""Policies: what they ask for, and what they refuse to be."""

from typing import Any

import pytest

from guardrails.approval import (
    Demand,
    Escalate,
    Level,
    always,
    any_of,
    demanded,
    demanding,
    never,
    outside,
    over,
)
from guardrails.hosts import host_of

CLERK, BOSS = Level("clerk"), Level("boss", expires_s=60, on_expiry=Escalate("owner", quorum=2))


def test_an_amount_over_the_limit_asks_its_levels() -> None:
    policy = over("amount", 100, levels=[CLERK, BOSS], order="parallel")
    assert policy({"amount": 100}) is None
    assert policy({"amount": 101}) == Demand("amount is 101, over 100.", (CLERK, BOSS), "parallel")


@pytest.mark.parametrize("amount", [float("nan"), "5", None, float("inf")])
def test_what_is_no_amount_asks(amount: Any) -> None:
    assert over("amount", 100)({"amount": amount}) is not None


@pytest.mark.parametrize(
    "address",
    [
        "bob@example.com",
        "https://example.com/x?y=@evil.example",
        "EXAMPLE.com",
        "http://user@example.com:8080",
        ["a@example.com", "b@example.com"],
        None,
        "",
        [],
    ],
)
def test_an_address_within_the_list_does_not_ask(address: Any) -> None:
    assert outside("to", ["example.com"])({"to": address}) is None


@pytest.mark.parametrize(
    "address",
    [
        "bob@evil.example",
        "bob@evil.example,a@example.com",
        "Bob <bob@example.com>",
        '"a@example.com" <x@evil.example>',
        "bob@sub.example.com",
        "https://example.com@evil.example/",
        "https://evil.example\\@example.com/",
        "https://[::1/",
        "https://evil.example\t.example.com",
        "//evil.example/example.com",
        ["a@example.com", "b@evil.example"],
        5,
        "exampl\N{CYRILLIC SMALL LETTER IE}.com",
    ],
)
def test_an_address_outside_the_list_or_that_programs_read_differently_asks(address: Any) -> None:
    asked = demanded(outside("to", ["example.com"], levels=[CLERK]), {"to": address})
    assert asked is not None
    assert asked.levels == (CLERK,)


def test_a_host_is_read_in_small_letters_without_its_last_dot() -> None:
    assert (host_of("HTTPS://Example.COM./x"), host_of("a b"), host_of("")) == ("example.com", None, None)


def test_policies_together_ask_for_all_that_each_asks_for_once() -> None:
    policy = any_of(
        over("amount", 1, levels=[CLERK]), outside("to", ["x.example"], levels=[CLERK, BOSS]), never
    )
    assert policy({"amount": 1, "to": "x.example"}) is None
    asked = demanded(policy, {"amount": 2, "to": "y.example"})
    assert asked == Demand("amount is 2, over 1. to is 'y.example', outside x.example.", (CLERK, BOSS))


def test_a_confirmation_beside_a_chain_is_that_chain() -> None:
    asked = demanded(any_of(always, over("amount", 1, levels=[CLERK], order="parallel")), {"amount": 2})
    assert asked is not None
    assert (asked.levels, asked.order) == ((CLERK,), "parallel")


def test_any_policy_can_be_given_levels() -> None:
    def on_fridays(arguments: Any) -> str | None:
        return "It is friday." if arguments["day"] == 5 else None

    policy = demanding(on_fridays, levels=[BOSS])
    assert (policy({"day": 4}), policy({"day": 5})) == (None, Demand("It is friday.", (BOSS,)))


@pytest.mark.parametrize(
    ("level", "why"),
    [
        ({"role": " "}, "names no role"),
        ({"role": "a", "quorum": 0}, "quorum is 0"),
        ({"role": "a", "expires_s": 0}, "expires_s is 0"),
        ({"role": "a", "on_expiry": "approve"}, "it never expires"),
        ({"role": "a", "expires_s": 5, "on_expiry": "perhaps"}, "expected deny, approve or Escalate"),
    ],
)
def test_a_level_that_makes_no_sense_is_refused(level: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Level(**level)
