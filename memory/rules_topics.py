"""What a wish is about, so that a later one about the same takes the place of the earlier.

A few topics are known by their words, in English and German. Of a wish that names several the first of the
list counts: in whole, the later wish holds then. Everything else is about what it says to do, without the
value that it says to do it with: "sign letters as Ada" is about `sign-letters`.
"""

import re
from typing import Final

_LANGUAGES: Final = (
    "english|german|french|spanish|italian|portuguese|dutch|polish|turkish|russian|ukrainian|arabic|chinese"
    "|japanese|korean|englisch|deutsch|französisch|spanisch|italienisch|portugiesisch|niederländisch|polnisch"
    "|türkisch|russisch|ukrainisch|arabisch|chinesisch|japanisch|koreanisch"
)
_TOPICS: Final = {
    "language": rf"(?:in|auf|into|to|use|speak|talk|sprich) (?:{_LANGUAGES})|language|sprache",
    "name": r"call me(?! (?:at|before|after|on|when|only|up|back))|address me as|nenn(?:e|en sie)? mich",
    "form-of-address": r"per (?:du|sie)|du-form|sie-form|duzen?|siezen?|formal|informal|formally|informally",
    "length": r"brief|briefly|short|concise|concisely|longer|shorter|detailed|in detail|at length|kurz|kürzer"
    r"|knapp|ausführlich|ausführlicher|länger"
    r"|(?:one|two|three|few|\d+|einem|zwei|drei|wenigen) (?:sentences?|words|satz|sätze|sätzen|worten)",
    "format": r"(?:in|as|use|using|never|no|als|mit|keine|nutze|verwende) (?:a |eine[rn]? )?(?:bullets?"
    r"|bullet points?|lists?|tables?|markdown|json|plain text|prose|stichpunkten?|stichworten?|listen?"
    r"|tabellen?|fließtext)",
    "tone": r"(?:be|sound|sei|bleib|bleibe) (?:\w+ )?(?:friendly|polite|casual|serious|funny|freundlich"
    r"|höflich|locker|sachlich)|politely|casually|tone",
    "temperature": r"celsius|fahrenheit|kelvin",
    "units": r"metric|imperial|si units|units|metrisch\w*|einheiten|metres?|meters?|feet|foot|inch|inches"
    r"|yards?|miles?|kilomet(?:er|re)s?|meter|fuß|zoll|meilen",
    "currency": r"euros?|dollars?|pounds?|francs?|currency|währung|franken",
}
_KNOWN: Final = {topic: re.compile(rf"\b(?:{words})\b") for topic, words in _TOPICS.items()}
_SOME_ONLY: Final = re.compile(
    r"\b(?:when|if|unless|while|for|about|after|before|wenn|falls|sobald|bei|für|über|nach|vor"
    r"|e-?mails?|letters?|reports?|code|briefe?n?|berichten?|invoices?|rechnungen)\b"
)
"""A wish that holds on some occasions, or for some texts, is about those too."""
_ANSWERS: Final = re.compile(
    r"answer|reply|respond|write|speak|talk|tell|explain|give|use|be|keep|make|do|show|say|antworten?|schreiben?"
    r"|schreib|sprich|sprechen|erkläre|nutze|verwende|gib|sei|mache?|bleibe?|zeige?"
)
"""Verbs that alone say nothing of what a wish is about."""
_BESIDE: Final = re.compile(
    r"\b(?:from now on|from here on|from this point on|going forward|in future|ab jetzt|ab sofort"
    r"|von jetzt an|von nun an|künftig|in zukunft|always|never|immer|niemals|nie|please|bitte|only|just|nur"
    r"|and|but|so|ok|okay|und|also|can you|could you)\b"
)
_VALUE: Final = re.compile(r"\b(?:in|as|with|by|at|to|into|als|mit|um|bis|auf|per|zu)\b")
"""What stands before the value of a wish."""


def topic_of(words: str) -> str:
    """Return what a wish is about, the same for wishes that can't both be followed."""
    said = " ".join(words.casefold().split())
    told = " ".join(re.findall(r"[\w.']+", _BESIDE.sub(" ", said)))
    if _SOME_ONLY.search(said):
        return slug(told)
    for topic, pattern in _KNOWN.items():
        if pattern.search(said):
            return topic
    before = _VALUE.split(told, maxsplit=1)[0].strip()
    return slug(told if not before or _ANSWERS.fullmatch(before) else before)


def slug(words: str) -> str:
    """Return words as a key: letters and digits of any language, joined by hyphens."""
    return "-".join(re.findall(r"\w+", words.casefold()))[:60].strip("-") or "unnamed"
