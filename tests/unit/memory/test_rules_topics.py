"""Which wishes are about the same, so that the later one takes the place of the earlier."""

from itertools import combinations

import pytest

from memory.rules_topics import topic_of


@pytest.mark.parametrize(
    ("topic", "wishes"),
    [
        ("language", ["From now on answer in German", "From now on answer in French.", "Never use English!"]),
        (
            "language",
            ["Antworte in Zukunft auf Deutsch.", "please always speak Spanish", "Answer in my language"],
        ),
        ("name", ["Always call me Ada.", "from now on address me as Dr. Lovelace", "Nenn mich ab jetzt Ada"]),
        ("form-of-address", ["Ab jetzt bitte immer per Du.", "Always be formal"]),
        (
            "length",
            ["Answer briefly from now on, please!", "Always answer in detail", "Immer kurz antworten bitte"],
        ),
        ("length", ["Always use two sentences", "Never be long-winded, be short"]),
        ("format", ["Always answer in bullet points", "From now on never use tables"]),
        ("tone", ["Always be friendly", "Never be so polite"]),
        ("units", ["From now on use metres.", "From now on answer in metric units.", "always use feet"]),
        ("temperature", ["Always use Celsius", "From now on give Fahrenheit"]),
        ("currency", ["Always use euros", "From now on in dollars, please"]),
        ("sign-reviews", ["Always sign reviews as Ada", "From now on sign reviews with A. L."]),
        (
            "send-the-summary",
            ["Always send the summary to Bob", "From now on send the summary to Ann, please"],
        ),
    ],
)
def test_wishes_about_the_same_have_one_topic(topic: str, wishes: list[str]) -> None:
    assert {topic_of(one) for one in wishes} == {topic}


APART = (
    "From now on answer in German",
    "Always answer briefly",
    "Always use metres",
    "Always use Celsius",
    "Always name your sources",
    "Always answer with a joke",
    "Always answer with your sources",
    "Always write e-mails in German",
    "Always write reports in French",
    "If I ask about Paris, always answer in French",
    "Never call me before 9.30 a.m., please",
    "Always call me Ada",
    "Always include a list of sources",
    "Never end sentences with emojis",
)


@pytest.mark.parametrize(("one", "other"), list(combinations(APART, 2)))
def test_wishes_that_can_both_be_followed_have_topics_of_their_own(one: str, other: str) -> None:
    assert topic_of(one) != topic_of(other)


def test_of_two_topics_in_one_wish_the_first_of_the_list_counts() -> None:
    assert topic_of("From now on answer briefly in German") == "language"


def test_a_wish_of_no_known_words_has_a_topic() -> None:
    assert topic_of("Always ...") == "unnamed"
    assert len(topic_of("Never " + "x" * 400)) == 60
