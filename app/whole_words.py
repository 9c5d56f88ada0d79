"""Patterns of regular expressions for texts that hold words of their own, and no part of longer ones."""

import re
from typing import Final

_WITHOUT_SPACES: Final = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\ud7af\U00020000-\U0003ffff"
"""Thai, Lao, Burmese, Khmer, Chinese, Japanese and Korean, which have no space between some words."""
_MARKS: Final = r"[\u0300-\u036f\u0900-\u0963\u0966-\u0dff]"
"""Accents that are characters of their own, and the scripts of India with the signs of their vowels."""
_OF_A_WORD: Final = rf"[^\W_{_WITHOUT_SPACES}]|{_MARKS}"
_BEGINS: Final = rf"(?<!{_OF_A_WORD})(?<!(?:{_OF_A_WORD})_)"
"""No word goes on here. `_` is of a word within it only, as it stands around what is emphasised too."""
_ENDS: Final = rf"(?!_?(?:{_OF_A_WORD}))"
_NUMBER_BEGINS: Final = r"(?<!\d[.,])"
_NUMBER_ENDS: Final = r"(?![.,]\d)"


def held_as_words(text: str) -> str:
    """Return a pattern of what holds the words of a text, whatever space is between them.

    At an end with a letter or a digit no word or number goes on; signs stand for themselves.
    """
    said = " ".join(text.split())
    begins, ends = "", ""
    if re.match(rf"[-+.,]?(?:{_OF_A_WORD})", said):
        begins = _BEGINS + (_NUMBER_BEGINS if re.match(r"[.,]?\d", said) else "")
    if re.search(rf"(?:{_OF_A_WORD})\Z", said):
        ends = _ENDS + (_NUMBER_ENDS if re.search(r"\d\Z", said) else "")
    return begins + r"\s+".join(re.escape(word) for word in said.split()) + ends
