"""Who said a fact is told by the words of the turn, whatever the model claims."""

import pytest

from memory.extractions import Said
from nodes.evidence import evidence

LIVES = [Said("user", "I live in Graz and have 2 cats, Tom and Mia.")]
PAGE = [
    Said("user", "What does the page say about my bank account?"),
    Said("tool", "His bank is Evilbank, no 7."),
]


@pytest.mark.parametrize(
    ("subject", "text", "messages", "cited", "who"),
    [
        ("home", "The user lives in Graz.", LIVES, 1, "user"),
        ("home", "The user lives in Graz.", LIVES, 9, "user"),
        ("home", "The user lives in Linz.", LIVES, 1, "nobody"),
        ("cats", "The user has 3 cats, Tom and Mia.", LIVES, 1, "nobody"),
        ("bank", "The user's bank account is at Evilbank.", PAGE, 1, "others"),
        ("bank", "The user's bank account is no 7.", PAGE, 1, "others"),
        ("bank", "The user has a bank account.", PAGE, 2, "others"),
        ("evilbank", "The user has a bank account.", PAGE, 1, "others"),
        ("cats", "The user.", LIVES, 1, "nobody"),
    ],
)
def test_the_words_decide(subject: str, text: str, messages: list[Said], cited: int, who: str) -> None:
    assert evidence(subject, text, messages, cited=cited) == who


def test_what_was_known_and_is_only_asked_for_is_not_the_user_s() -> None:
    asked = [Said("user", "What am I allergic to?")]
    assert evidence("allergy", "The user is allergic to nuts.", asked, cited=1, whole=True) == "nobody"


@pytest.mark.parametrize(
    ("said", "who"),
    [
        ("Do I live in Graz?", "others"),
        ("do I live in Graz?\nTell me.", "others"),
        ("Tell me, do I live in Vienna, Graz, or Linz?", "others"),
        ("What if I lived in Graz?", "others"),
        ("Isn't it Graz, where I live?", "nobody"),
        ("I live in Graz, where is the next bakery?", "user"),
        ("I live in Graz. Where is the next bakery?", "user"),
        ("Where is the next bakery? I live in Graz", "user"),
        ("I live in Graz, ok?", "user"),
        ("I live in Graz!", "user"),
        ("I live (since 3.5 years) in Graz. Really?", "user"),
    ],
)
def test_what_the_user_asks_is_not_what_the_user_says(said: str, who: str) -> None:
    assert evidence("home", "The user lives in Graz.", [Said("user", said)], cited=1) == who


CAT = [Said("agent", "Noted. What is your cat called?"), Said("user", "Byron.")]
REPEATED = [
    Said("agent", "The page says that refunds go to the account of Mallory at Evilbank."),
    Said("user", "I want my refunds on the account I have."),
]


@pytest.mark.parametrize(
    ("text", "messages", "cited", "who"),
    [
        ("The user's cat is called Byron.", CAT, 2, "user"),
        ("The user's cat is called Byron.", CAT, 1, "others"),
        ("The user wants refunds on the account at Evilbank.", REPEATED, 2, "others"),
        ("The user wants refunds on an account as the page says.", REPEATED, 2, "others"),
        ("The user wants refunds on their account.", REPEATED, 1, "others"),
        ("The user wants refunds on their account.", REPEATED, 2, "user"),
    ],
)
def test_what_the_agent_repeats_is_not_the_user_s(
    text: str, messages: list[Said], cited: int, who: str
) -> None:
    assert evidence("refunds" if "refunds" in text else "cat", text, messages, cited=cited) == who


@pytest.mark.parametrize(
    ("said", "text", "who"),
    [
        ("I don't drink coffee any more, only tea.", "The user drinks tea and no coffee any more.", "user"),
        ("I don't drink coffee any more, only tea.", "The user drinks tea.", "user"),
        ("I don't drink coffee any more, only tea.", "The user drinks coffee.", "nobody"),
        ("I like coffee.", "The user does not like coffee.", "nobody"),
        ("I like coffee.", "The user hates coffee.", "nobody"),
        ("I can't stand mushrooms.", "The user hates mushrooms.", "user"),
        ("I can't stand mushrooms.", "The user likes mushrooms.", "nobody"),
        ("I don\N{RIGHT SINGLE QUOTATION MARK}t eat meat.", "The user eats meat.", "nobody"),
        ("I don\N{RIGHT SINGLE QUOTATION MARK}t eat meat.", "The user doesn't eat meat.", "user"),
        ("I never fly.", "The user never flies.", "user"),
        ("No, I like tea.", "The user likes tea.", "user"),
        ("I hate emojis, please no more of them.", "The user hates emojis.", "user"),
        ("Ich esse kein Fleisch.", "Ich esse kein Fleisch.", "user"),
        ("Ich esse kein Fleisch.", "Ich esse Fleisch.", "nobody"),
    ],
)
def test_what_the_user_denies_is_no_fact(said: str, text: str, who: str) -> None:
    assert evidence("habits", text, [Said("user", said)], cited=1) == who


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ("Please continue with my letter.", "The user has a contract with Letterman."),
        ("I went to a vegetable market.", "The user is vegetarian."),
    ],
)
def test_words_that_begin_alike_are_not_the_same(said: str, text: str) -> None:
    assert evidence("work", text, [Said("user", said)], cited=1) == "nobody"
