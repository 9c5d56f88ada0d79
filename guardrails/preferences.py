"""Whether a user states how they want things done from now on, in their own words.

A message may hold words of others: a quoted mail, a page, a document. What is marked as such is left out.
What is not can't be told from the user's own, so a wish counts as surely theirs only if it is all they say.
"""

import re
from dataclasses import dataclass
from typing import Final

MAX_MESSAGE_CHARS: Final = 600
"""A longer message is taken for one with pasted text, in which nobody can tell who speaks."""
_MAX_CHARS: Final = 300
_MIN_WORDS: Final = 3
_PASTED: Final = re.compile(
    r"```.*?(?:```|\Z)|~~~.*?(?:~~~|\Z)|`[^`\n]*`|^[ \t]*>.*?$|<[^>]*>"
    r"|\"[^\"]*(?:\"|\Z)|“[^”]*(?:”|\Z)|„[^“”]*(?:[“”]|\Z)|«[^»]*(?:»|\Z)|»[^«]*(?:«|\Z)|\u2018[^\u2019]*(?:\u2019|\Z)"
    r"|(?<!\w)'[^'\n]*'(?!\w)",
    re.MULTILINE | re.DOTALL,
)
"""Code, quoted lines, tags, and what stands in quotation marks; without a second mark, all to the end."""
_OF_OTHERS: Final = re.compile(
    r":(?:\s|\Z)|^[ \t]*-{3,}|^(?:on|am)\b.{0,100}\b(?:wrote|schrieb)\b"
    r"|^[ \t]*(?:dear|liebe[rs]?|sehr geehrte[rs]?|hi|hello|hallo)\b[^.!?\n]{0,60},[ \t]*$"
    r"|^[ \t]*(?:(?:best|kind|warm) regards|regards|cheers|(?:mit freundlichen|viele|beste) grüße[n]?|mfg)\b",
    re.MULTILINE | re.IGNORECASE,
)
"""Where words of others may begin: after a colon, such as that of a mail's header or of "summarise this:",
after a line of dashes, and where a letter begins or ends."""
_BETWEEN_SENTENCES: Final = re.compile(r"(?<=[!?])\s+|(?<=\.)\s+(?=[A-ZÄÖÜ\[(])|\n")
_FROM_NOW_ON: Final = (
    r"from now on|from here on|from this point on|going forward|in future"
    r"|ab jetzt|ab sofort|von jetzt an|von nun an|künftig|in zukunft"
)
_POLITE: Final = r"(?:(?:and|but|so|ok|okay|und|also|please|bitte|also|can you|could you)[, ]+)*"
_BEGINS: Final = re.compile(rf"{_POLITE}(?:{_FROM_NOW_ON}|always|never|immer|nie|niemals)\b", re.IGNORECASE)
_HOLDS: Final = re.compile(rf"\b(?:{_FROM_NOW_ON})\b", re.IGNORECASE)
_TELLS: Final = re.compile(
    rf"{_POLITE}(?:(?:{_FROM_NOW_ON})[, ]+)?(?:i|we|he|she|it|they|there|the|my|our|this|that|ich|wir|er|sie"
    r"|es|der|die|das|mein|meine|never mind|always nice|always a)\b",
    re.IGNORECASE,
)
"""Sentences that tell something and ask for nothing."""


@dataclass(frozen=True, slots=True)
class Stated:
    """A wish that stands in a message of a user.

    Attributes:
        words: the sentence.
        alone: the message holds nothing else, so that nobody else can be speaking.
    """

    words: str
    alone: bool


def stated_preference(message: str) -> Stated | None:
    """Return the sentence in which a user says how things are to be done from now on, or None.

    It has to begin with words such as "from now on", "always", "never", "immer" or "in Zukunft", or hold one
    that can't be meant otherwise. Questions are none; nor is anything in quotation marks, code, a quoted
    line, after a colon, a line of dashes or the beginning or end of a letter, or in a message of more than
    `MAX_MESSAGE_CHARS`.

    Args:
        message: the user's own, never a document's or a tool's.
    """
    if len(message) > MAX_MESSAGE_CHARS:
        return None
    own = _OF_OTHERS.split(_PASTED.sub(" [...] ", message), maxsplit=1)[0]
    for found in _BETWEEN_SENTENCES.split(own):
        sentence = " ".join(found.split())
        if _is_preference(sentence):
            return Stated(sentence, alone=sentence == message.strip() and bool(_BEGINS.match(sentence)))
    return None


def _is_preference(sentence: str) -> bool:
    if sentence.endswith("?") or "[...]" in sentence or len(sentence) > _MAX_CHARS:
        return False
    if len(sentence.split()) < _MIN_WORDS or _TELLS.match(sentence):
        return False
    return bool(_BEGINS.match(sentence) or _HOLDS.search(sentence))
