"""One form of the characters of a text, so that no other form of them hides what is looked for."""

import re
import unicodedata
from typing import Final

_UNSEEN: Final = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\U000e0000-\U000e0fff]"
)
"""Source: the property Default_Ignorable_Code_Point of the Unicode Character Database."""
_DASHES: Final = re.compile("[\u2010-\u2015\u2212]")
_DIGIT: Final = re.compile(r"(?![0-9])\d")


def folded(text: str) -> str:
    """Return a text with the digits, letters and signs of ASCII for other forms of them, and nothing unseen.

    Source: Unicode Standard Annex 15 (NFKC), for full-width and other forms of compatibility.
    """
    if text.isascii():
        return text
    seen = _DASHES.sub("-", unicodedata.normalize("NFKC", _UNSEEN.sub("", text)))
    return _DIGIT.sub(lambda found: str(unicodedata.decimal(found[0])), seen)
