"""Who said what a fact says: the user in their own words, a tool or a document, or nobody."""

import re
from collections.abc import Iterable, Sequence
from typing import Final, Literal

from memory.extractions import Said
from nodes.wording import affirmed, is_among, names_in, own_word, stated, word_set

Evidence = Literal["user", "others", "nobody"]
"""`user`: the user's own words say it. `others`: only what tools found does. `nobody`: it is made up."""
_ENOUGH: Final = 0.5
"""The share of a fact's words that has to be found: a model says the same in other words."""
_ENOUGH_AMONG_OTHERS: Final = 0.75
"""The share that has to be the user's where tools spoke too: a document may lend its phrasing only."""
_QUESTION: Final = re.compile(r"[^.!?\n]*\?")


def evidence(
    subject: str, text: str, messages: Sequence[Said], *, cited: int, whole: bool = False
) -> Evidence:
    """Return who said a fact, whatever the model that extracted it claims.

    It is the user's only if the model cites the user's message, most of its words are the user's, outside of
    what they ask, with every number and name, the user affirms what it affirms and denies what it denies, and
    none of the other words, nor of the subject, come from tools or from the agent, who may repeat what a tool
    found. A question that the agent asked last may lend a word to the user's answer.

    Args:
        subject: what the fact is about.
        text: the fact.
        messages: of the turn.
        cited: number of the message that is said to say it, from 1.
        whole: every word has to be found, since the model may have it from elsewhere.
    """
    words = word_set(text)
    if not words:
        return "nobody"
    by_user = [one.text for one in messages if one.by == "user"]
    by_others = [one.text for one in messages if one.by != "user"]
    if _is_users(subject, text, messages, whole=whole) and _cites_user(messages, cited):
        return "user"
    everything = word_set(" ".join([*by_user, *by_others]))
    exact = all(own_word(name, everything) for name in [*names_in(text), *filter(_has_digit, words)])
    said = exact and _share(words, everything) >= (1.0 if whole else _ENOUGH)
    return "others" if said and any(affirmed(text, one) for one in [*by_user, *by_others]) else "nobody"


def _is_users(subject: str, text: str, messages: Sequence[Said], *, whole: bool) -> bool:
    said = "\n".join(stated(one.text) for one in messages if one.by == "user")
    users, words = word_set(said), word_set(text)
    others = word_set(" ".join(one.text for one in messages if one.by == "tool"))
    agents = word_set(" ".join(one.text for one in messages if one.by == "agent"))
    borrowed = others | (agents - word_set(_last_question(messages)))
    enough = 1.0 if whole else _ENOUGH_AMONG_OTHERS if others else _ENOUGH
    unsaid = [word for word in words if not is_among(word, users)]
    return (
        _share(words, users) >= enough
        and not any(map(_has_digit, unsaid))
        and all(own_word(name, users) for name in names_in(text))
        and not _any_among(unsaid, borrowed)
        and not _any_among((word for word in word_set(subject) if not is_among(word, users)), borrowed)
        and affirmed(text, said)
    )


def _last_question(messages: Sequence[Said]) -> str:
    """Return what the agent asked right before the user spoke: the answer's words alone may not name it."""
    last = ""
    for one in messages:
        if one.by == "user":
            break
        last = one.text if one.by == "agent" else ""
    questions = _QUESTION.findall(last)
    return str(questions[-1]) if questions and last.rstrip().endswith("?") else ""


def _cites_user(messages: Sequence[Said], cited: int) -> bool:
    """Tell whether the user's message is cited; where only the user speaks, there is no other."""
    if all(one.by == "user" for one in messages):
        return True
    return 1 <= cited <= len(messages) and messages[cited - 1].by == "user"


def _share(words: frozenset[str], among: frozenset[str]) -> float:
    return sum(is_among(word, among) for word in words) / len(words)


def _any_among(words: Iterable[str], among: frozenset[str]) -> bool:
    return any(is_among(word, among) for word in words)


def _has_digit(word: str) -> bool:
    return any(character.isdigit() for character in word)
