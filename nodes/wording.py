"""Compares two wordings: the same words in other forms, and whether both affirm or both deny."""

import re
from collections.abc import Iterable
from itertools import takewhile
from typing import Final

_WORD: Final = re.compile(r"[^\W_]+")
_NAME: Final = re.compile(r"(?<=\S )[A-Z]\w+")
_STEM_CHARS: Final = 4
_VERB_CHARS: Final = 3
_ENDINGS: Final = frozenset(
    ["", *re.findall(r"\w+", "s e es ed d n en er em ern ers y ies ied ing ings ly ic al ally able ation")]
)
_VERB_ENDINGS: Final = frozenset(("e", "es", "ed", "ing"))
_EMPTY: Final = frozenset(
    re.findall(
        r"\w+",
        "a an the and or but of in on at to for from with by as is are was were be been am has have had "
        "do does did it its this that these those he she they his her their them i me my mine we our us "
        "you your user users s m ll ve re d called name named names very also who which whose will would "
        "can could any more longer anymore only ever",
    )
)
_PLURAL: Final = re.compile(r"(?<=[^aeiou])ies$")
_DENYING: Final = re.compile(
    r"\b\w+n['\N{RIGHT SINGLE QUOTATION MARK}]t\b|\b(?:not|no|never|nothing|none|neither|nor|cannot|without|"
    r"dont|cant|doesnt|isnt|wont|stopped|quit|"
    r"nicht|kein|keine|keinen|keinem|keiner|nie|niemals|ne|pas|jamais|nunca|non|niet|geen|nooit)\b",
    re.IGNORECASE,
)
_AGAINST: Final = re.compile(
    r"\b(?:hate[sd]?|dislike[sd]?|avoid(?:s|ed)?|detest(?:s|ed)?|refuse[sd]?)\b", re.IGNORECASE
)
_CLAUSE: Final = re.compile(
    r"[.,;:!?()\n\N{EM DASH}]+|\b(?=without\b)|\b(?:and|but|or|when|while|because|since|if|although|though|"
    r"so|then|except|instead|rather|aber|und|oder|sondern|weil|wenn|mais|et|ou|pero)\b",
    re.IGNORECASE,
)
_SENTENCE: Final = re.compile(r"[^\n]+?(?:[.!?]+(?=\s|$)|\n|$)")
_PART: Final = re.compile(r"[,;:()\N{EM DASH}]+")
_ASKING: Final = re.compile(
    r"(?:do|does|did|am|is|are|was|were|can|could|will|would|shall|should|have|has|had|may|might|must|"
    r"what|where|when|who|whom|whose|which|why|how|"
    r"bin|ist|sind|war|hab|habe|hat|kann|soll|wo|wann|wer|wem|wen|wie|warum|welche|welcher|welches)\b"
    r"|\w+n['\N{RIGHT SINGLE QUOTATION MARK}]t\b",
    re.IGNORECASE,
)


def word_set(text: str) -> frozenset[str]:
    """Return the words that carry meaning, in small letters; those that deny are none of them."""
    return frozenset(_words(text))


def names_in(text: str) -> list[str]:
    """Return the words that are written as names, in small letters, but for the first of a text."""
    return [name.casefold() for name in _NAME.findall(text)]


def is_among(word: str, words: Iterable[str]) -> bool:
    """Tell whether a word is there, in whatever form; one with a digit exactly."""
    return any(_is_same(word, one) for one in words)


def own_word(word: str, words: frozenset[str]) -> bool:
    """Tell whether a name or a number is there as it is, but for an `s` at its end."""
    return not words.isdisjoint((word, f"{word}s", word.removesuffix("s")))


def stated(text: str) -> str:
    """Return what a text says, without what it asks.

    Of a sentence that ends in a question mark only the parts stay, between commas and the like, that stand
    before the first one that begins like a question, and before the last one.
    """
    kept: list[str] = []
    for sentence in _SENTENCE.findall(text):
        if not sentence.rstrip().endswith("?"):
            kept.append(sentence)
            continue
        before = _PART.split(sentence)[:-1]
        kept += takewhile(lambda part: not _ASKING.match(part.strip()), before)
    return "\n".join(kept)


def affirmed(text: str, said: str) -> bool:
    """Tell whether nothing that is said contradicts a text.

    Each clause of the text is held against those of what is said that have the last word in common that both
    have: one of them has to affirm if it affirms, and to deny if it denies. A clause that denies and has no
    word in common needs some clause that denies.
    """
    theirs = [(word_set(clause), _denies(clause)) for clause in _clauses(said)]
    for clause in _clauses(text):
        denies = _denies(clause)
        common = [word for word in _words(clause) if any(is_among(word, words) for words, _ in theirs)]
        last = common[-1:]
        needed = bool(last or denies)
        if needed and not any(
            denied == denies and all(is_among(word, words) for word in last) for words, denied in theirs
        ):
            return False
    return True


def _words(text: str) -> list[str]:
    return [word for word in _WORD.findall(_DENYING.sub(" ", text.casefold())) if word not in _EMPTY]


def _clauses(text: str) -> list[str]:
    return [clause for clause in _CLAUSE.split(text) if clause.strip()]


def _denies(clause: str) -> bool:
    return bool(_DENYING.search(clause)) != bool(_AGAINST.search(clause))


def _is_same(word: str, other: str) -> bool:
    word, other = (_PLURAL.sub("y", one) for one in (word, other))
    if word == other or any(character.isdigit() for character in word):
        return word == other
    shared = 0
    for ours, theirs in zip(word, other, strict=False):
        if ours != theirs:
            break
        shared += 1
    ends = {word[shared:], other[shared:]}
    if shared >= _STEM_CHARS:
        return ends <= _ENDINGS
    return shared == _VERB_CHARS and ends <= _VERB_ENDINGS
