"""What a detector of private data or secrets is, and how what it finds is replaced.

The time that each takes grows with the length of the text and no faster, whatever the text: repetitions are
possessive or bounded, and a long match can begin at few places only.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

_VALUE: Final = "value"


def _all_of(found: str) -> int:
    return len(found)


def small_letters(text: str) -> str:
    """Return a text in small letters, as many as there were."""
    return text.replace("\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}", "i").lower()


@dataclass(frozen=True)
class Detector:
    """Finds one kind of private data or secrets.

    Attributes:
        kind: what stands in its place, in brackets.
        expression: what it looks like; one that begins with a character, and looks behind that afterwards, is
            found in less time. What is outside of its group `value`, if it has one, stays.
        needles: one of these is in every text that has a match, in small letters; none: it is always looked
            for.
        check: returns how many of the first characters of a match are such data, 0 for none.
        in_small: it is looked for in the text in small letters, which is faster than to do without case.
    """

    kind: str
    expression: str
    needles: Sequence[str] = ()
    check: Callable[[str], int] = _all_of
    in_small: bool = False

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """The expression, compiled when it is first needed."""
        return re.compile(self.expression)

    def replaced(self, text: str, small: str) -> str:
        """Return the text without what is found in it.

        Args:
            text: any.
            small: the same in small letters.
        """
        if self.needles and not any(map(small.__contains__, self.needles)):
            return text
        parts: list[str] = []
        done = at = 0
        searched = small_letters(text) if self.in_small else text
        while (match := self.pattern.search(searched, at)) is not None:
            group = _VALUE if _VALUE in self.pattern.groupindex else 0
            length = self.check(text[slice(*match.span(group))])
            if not length:
                at = match.start() + 1
                continue
            begin = match.start(group)
            parts += (text[done:begin], f"[{self.kind}]")
            done = at = begin + length
        return "".join((*parts, text[done:])) if parts else text


class Issued:
    """Finds keys of many issuers, each only in a text that has its beginning: most texts have none."""

    def __init__(self, kind: str, forms: Sequence[Sequence[str]], before: str) -> None:
        """Find keys.

        Args:
            kind: what stands in their place.
            forms: expressions, each with the beginnings of which one is in every text that has such a key.
            before: an expression for what stands before all of them.
        """
        self._detectors: Final = [
            (beginning, detector)
            for expression, *beginnings in forms
            for detector in [Detector(kind, f"{before}{expression}")]
            for beginning in beginnings
        ]

    def replaced(self, text: str, small: str) -> str:
        """Return the text without the keys in it; `small` is the same in small letters."""
        for detector in [detector for beginning, detector in self._detectors if beginning in text]:
            text = detector.replaced(text, small)
        return text
