"""The labelled requests are what a measurement of routing can rest on."""

import pytest

from evals.routing import Choice, LabelledRequest, load_requests, quality
from graphs.help_desk import specialists
from nodes.routing_form import NOBODY


def test_the_set_is_large_has_every_specialist_and_repeats_nothing_that_a_router_is_told() -> None:
    requests = load_requests()
    names = {one.name for one in specialists()}
    assert len(requests) >= 100
    assert {one.specialist for one in requests} == {*names, NOBODY}
    texts = [one.request.lower() for one in requests]
    assert len(set(texts)) == len(texts)
    assert not {example.lower() for one in specialists() for example in one.examples} & set(texts)


@pytest.mark.parametrize(
    ("label", "given", "right"),
    [
        ("a", "a", 1),
        ("a", "b", 0),
        ("a", None, 0),
        (NOBODY, None, 1),
        (NOBODY, "general", 1),
        (NOBODY, "a", 0),
    ],
)
def test_a_choice_is_right_if_it_is_the_label_or_turns_away_what_is_for_nobody(
    label: str, given: str | None, right: int
) -> None:
    asked = LabelledRequest(request="x", specialist=label)
    found = quality([asked], [Choice(given, 7)], general="general")
    assert (found.accuracy, found.asked_back, found.cost) == (right, given is None, 7)
