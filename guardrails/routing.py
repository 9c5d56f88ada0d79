"""Rules that name the specialist for a request before any model is asked: cheap, and the same every time."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from typing import Any, Final

MIN_LANGUAGE_PROBABILITY: Final = 0.9
"""Below it the language of a request counts as unknown: a few words tell too little."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Sends requests to a specialist. It applies where everything holds that it names.

    Attributes:
        specialist: the name of the specialist.
        pattern: a regular expression that is found in the request, upper and lower case alike.
        language: the request's language, by its ISO 639-1 code such as `de`.
        attachment: the media type of something attached, such as `text/csv` or `image/*`.
    """

    specialist: str
    pattern: str | None = None
    language: str | None = None
    attachment: str | None = None

    def __post_init__(self) -> None:
        """Refuse a rule that can't be applied.

        Raises:
            ValueError: it names nothing, or something unknown.
        """
        place = f"rule for {self.specialist!r}"
        if self.pattern is None and self.language is None and self.attachment is None:
            raise ValueError(
                f"{place}: it names no pattern, language or attachment, so it would always apply"
            )
        if self.pattern is not None:
            try:
                re.compile(self.pattern)
            except re.error as error:
                raise ValueError(
                    f"{place}: pattern {self.pattern!r} is no regular expression: {error}"
                ) from error
        if self.language is not None and self.language not in _languages():
            raise ValueError(f"{place}: {self.language!r} is no language code that is known, such as 'de'")

    def applies(self, text: str, attachments: Collection[str]) -> str | None:
        """Return why the rule applies to a request, or None.

        Args:
            text: of the request.
            attachments: media types of what is attached to it.
        """
        reasons: list[str] = []
        if self.pattern is not None:
            if (found := re.search(self.pattern, text, re.IGNORECASE)) is None:
                return None
            reasons.append(f"it says {found.group()[:80]!r}")
        if self.attachment is not None:
            wanted = self.attachment
            if (one := next((kind for kind in attachments if fnmatchcase(kind, wanted)), None)) is None:
                return None
            reasons.append(f"{one} is attached")
        if self.language is not None:
            if language_of(text) != self.language:
                return None
            reasons.append(f"its language is {self.language}")
        return ", ".join(reasons)


def first_rule(rules: Sequence[Rule], text: str, attachments: Collection[str]) -> tuple[str, str] | None:
    """Return the specialist of the first rule that applies, and why; or None."""
    for rule in rules:
        if (reason := rule.applies(text, attachments)) is not None:
            return rule.specialist, reason
    return None


def language_of(text: str) -> str | None:
    """Return the ISO 639-1 code of a text's language, or None where it can't be told."""
    code, probability = _identifier().classify(text)
    return str(code) if probability >= MIN_LANGUAGE_PROBABILITY else None


def _languages() -> Collection[str]:
    return _identifier().labels


@cache
def _identifier() -> Any:
    """Load the identifier at its first use: it takes time, and few routers have rules by language."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier  # noqa: PLC0415

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
