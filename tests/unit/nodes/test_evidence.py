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
