"""Presidio's pattern recognisers beside our own detectors, for the kinds of data that the settings name.

They are an extra, `boring-agents[presidio]`. Presidio's rule for words of context is kept, by the words as
they are written: it would compare their stems, for which it wants a language model.

Source: Microsoft Presidio 2.2, `PatternRecognizer` and `LemmaContextAwareEnhancer`.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final, Protocol, cast

from core.errors import ConfigurationError
from core.loading import load
from observability.redactor import looking_also_for

_RECOGNIZERS: Final = "presidio_analyzer.predefined_recognizers"
_SURE: Final = 0.5
"""From which score on a finding is replaced."""
_CONTEXT_WORDS: Final = 5
"""How many words before a finding are looked at."""
_CONTEXT_FACTOR: Final = 0.35
"""By how much one of context raises the score."""
_LONGEST_CONTEXT: Final = 100
_WORD: Final = re.compile(r"\w+")


class Finding(Protocol):
    """What a recogniser of Presidio found, from one character to before another."""

    start: int
    end: int
    score: float


class Recognizer(Protocol):
    """What is used of Presidio's `PatternRecognizer`."""

    supported_entities: Sequence[str]
    context: Sequence[str] | None

    def analyze(self, text: str, entities: list[str], nlp_artifacts: None, /) -> Sequence[Finding]:
        """Return what is found in a text."""
        ...


@dataclass(frozen=True, slots=True)
class PresidioDetector:
    """Finds what one recogniser knows, and replaces it by its kind in brackets."""

    kind: str
    recognizer: Recognizer

    def replaced(self, text: str, small: str) -> str:
        """Return the text without what is found in it; `small` is the same in small letters."""
        findings = self.recognizer.analyze(text, [self.kind], None)
        sure = [one for one in findings if self._score(one.score, small, one.start) >= _SURE]
        for one in sorted(sure, key=_start, reverse=True):
            text = f"{text[: one.start]}[{self.kind}]{text[one.end :]}"
        return text

    def _score(self, score: float, small: str, start: int) -> float:
        words = _WORD.findall(small[max(0, start - _LONGEST_CONTEXT) : start])[-_CONTEXT_WORDS:]
        context: Sequence[str] = self.recognizer.context or ()
        if any(word in " ".join(words) for word in context):
            return max(score + _CONTEXT_FACTOR, _SURE)
        return score


@asynccontextmanager
async def presidio(kinds: Sequence[str]) -> AsyncGenerator[None]:
    """Have texts looked through for more kinds of private data as long as the block runs.

    Args:
        kinds: Presidio's names of them, such as `IT_FISCAL_CODE`; none, nothing is loaded.

    Raises:
        ConfigurationError: Presidio is not installed, or has no pattern for one of them.
    """
    if not kinds:
        yield
        return
    if find_spec("presidio_analyzer") is None:
        raise ConfigurationError(
            "BORING_PRESIDIO names kinds of private data, and Presidio is not installed. Install"
            " boring-agents[presidio], or unset BORING_PRESIDIO."
        )
    await load(_RECOGNIZERS)
    known = _recognizers()
    if unknown := sorted(set(kinds) - set(known)):
        raise ConfigurationError(
            f"BORING_PRESIDIO names {', '.join(unknown)}, for which Presidio has no pattern. It has"
            f" {', '.join(sorted(known))}."
        )
    with looking_also_for([PresidioDetector(kind, each) for kind in kinds for each in known[kind]]):
        yield


def _start(finding: Finding) -> int:
    return finding.start


def _recognizers() -> dict[str, list[Recognizer]]:
    """Return the recognisers of each kind."""
    base: type[Any] = import_module("presidio_analyzer").PatternRecognizer
    found: dict[str, list[Recognizer]] = {}
    for _, each in inspect.getmembers(import_module(_RECOGNIZERS), inspect.isclass):
        if issubclass(each, base) and each is not base:
            recognizer = cast("Recognizer", each())
            for kind in recognizer.supported_entities:
                found.setdefault(kind, []).append(recognizer)
    return found
