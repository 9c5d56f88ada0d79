"""Who said what a fact says: the user in their own words, a tool or a document, or nobody."""

import re
from collections.abc import Sequence
from typing import Final, Literal

from memory.extractions import Said

Evidence = Literal["user", "others", "nobody"]
"""`user`: the user's own words say it. `others`: only what tools found does. `nobody`: it is made up."""
_ENOUGH: Final = 0.5
"""The share of a fact's words that has to be found: a model says the same in other words."""
_STEM_CHARS: Final = 4
_WORD: Final = re.compile(r"[^\W_]+")
_NAME: Final = re.compile(r"(?<=\S )[A-Z]\w+")
_EMPTY: Final = frozenset(
    re.findall(
        r"\w+",
        "a an the and or but of in on at to for from with by as is are was were be been has have had do does "
        "did not no it its this that these those he she they his her their them i me my mine we our us you "
        "your user users s called named name names very also who which whose will would can could",
    )
)


def evidence(
    subject: str, text: str, messages: Sequence[Said], *, cited: int, whole: bool = False
) -> Evidence:
    """Return who said a fact, whatever the model that extracted it claims.

    It is the user's only if the model cites the user's message, at least half of its words are the user's,
    with every number and name, and none of the others, nor of the subject, come from what tools found.

    Args:
        subject: what the fact is about.
        text: the fact.
        messages: of the turn.
        cited: number of the message that is said to say it, from 1.
        whole: every word has to be found, since the model may have it from elsewhere.
    """
    by_user = [one.text for one in messages if one.by == "user"]
    by_others = [one.text for one in messages if one.by == "tool"]
    words, users = _words(text), _words(" ".join(by_user))
    others = _words(" ".join(by_others))
    if not words:
        return "nobody"
    unsaid = [word for word in words if not _is_among(word, users)]
    borrowed = any(_is_among(word, others) for word in unsaid)
    borrowed |= any(_is_among(word, others) and not _is_among(word, users) for word in _words(subject))
    enough = 1.0 if whole else _ENOUGH
    is_theirs = _share(words, users) >= enough and not any(map(_has_digit, unsaid))
    names = [name.casefold() for name in _NAME.findall(text)]
    is_theirs &= all(_is_among(name, users) for name in names)
    if is_theirs and not borrowed and _cites_user(messages, cited):
        return "user"
    everything = users | others | _words(" ".join(one.text for one in messages if one.by == "agent"))
    exact = [*names, *filter(_has_digit, words)]
    made_up = not all(_is_among(word, everything) for word in exact)
    return "nobody" if made_up or _share(words, everything) < enough else "others"


def _cites_user(messages: Sequence[Said], cited: int) -> bool:
    """Tell whether the user's message is cited; where only the user speaks, there is no other."""
    if not any(one.by == "tool" for one in messages):
        return True
    return 1 <= cited <= len(messages) and messages[cited - 1].by == "user"


def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text.casefold())) - _EMPTY


def _share(words: frozenset[str], among: frozenset[str]) -> float:
    return sum(_is_among(word, among) for word in words) / len(words)


def _is_among(word: str, words: frozenset[str]) -> bool:
    """Tell whether a word is there, in whatever form; one with a digit exactly."""
    if _has_digit(word) or len(word) < _STEM_CHARS:
        return word in words
    return any(one[:_STEM_CHARS] == word[:_STEM_CHARS] for one in words)


def _has_digit(word: str) -> bool:
    return any(character.isdigit() for character in word)
