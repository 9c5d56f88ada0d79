"""Rules that name the specialist for a request before any model is asked: cheap, and the same every time."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from typing import Any, Final, cast

from core.errors import ConfigurationError

MIN_LANGUAGE_PROBABILITY: Final = 0.9
"""Below it the language of a request counts as unknown: a few words tell too little."""

_KINDS: Final = "|".join(
    (
        *("application", "audio", "chemical", "font", "haptics", "image", "message", "model", "multipart"),
        *("text", "video", "x-[a-z]+", "file", "input_audio"),
    )
)
_MEDIA_TYPE: Final = re.compile(rf"\*|(?:{_KINDS}|\*)/[a-z0-9_.+*?\[\]!#$&^-]+")
"""A media type with wildcards, or the kind of a content block that tells none, such as `file/*`."""


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
            ConfigurationError: it names nothing, or something unknown.
        """
        place = f"rule for {self.specialist!r:.80}"
        terms = {"pattern": self.pattern, "language": self.language, "attachment": self.attachment}
        for term, value in cast("dict[str, object]", {"specialist": self.specialist, **terms}).items():
            if value is not None and (not isinstance(value, str) or not value):
                raise ConfigurationError(f"{place}: {term} is {value!r:.80}; expected a text, not empty.")
        if not self.specialist:
            raise ConfigurationError(f"{place}: specialist is None; name who gets the request.")
        if not any(terms.values()):
            raise ConfigurationError(
                f"{place}: it names no pattern, language or attachment, so it would always apply. Name one."
            )
        if self.pattern is not None:
            _check_pattern(self.pattern, place)
        if self.language is not None and self.language not in _languages():
            raise ConfigurationError(
                f"{place}: language {self.language!r:.80} is not known; expected an ISO 639-1 code "
                "such as 'de'."
            )
        if self.attachment is not None and not _MEDIA_TYPE.fullmatch(self.attachment):
            raise ConfigurationError(
                f"{place}: attachment {self.attachment!r:.80} is no media type; expected one such as "
                "'text/csv' or 'image/*'."
            )

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


def _check_pattern(pattern: str, place: str) -> None:
    try:
        re.compile(pattern, re.IGNORECASE)
    except (re.error, OverflowError, RecursionError) as error:
        raise ConfigurationError(
            f"{place}: pattern {pattern!r:.80} is no regular expression: {error}"
        ) from error


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
