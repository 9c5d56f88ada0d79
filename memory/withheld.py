"""What is never remembered: passwords, keys and card numbers, told by their well-known forms."""

import re
from collections.abc import Mapping
from typing import Final

_FORMS: Final[Mapping[str, re.Pattern[str]]] = {
    "a password": re.compile(
        r"\b(?:pass ?(?:words?|phrases?|codes?)|pins?(?: codes?)?|(?:pass|kenn)w[oö]rt(?:er)?)\b"
        r"\W{0,3}(?:\w+\W+){0,4}?(?:is|are|was|ist|lautet|to|:|=)\W*\S+",
        re.IGNORECASE,
    ),
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    "a key of a service": re.compile(
        r"\b(?:sk-[\w-]{16,}|AKIA[0-9A-Z]{16}|gh[pousr]_\w{30,}|github_pat_\w{20,}|xox[abprs]-[\w-]{10,}"
        r"|AIza[\w-]{30,}|glpat-[\w-]{16,}|[sr]k_live_\w{16,})"
    ),
    "a token": re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"),
    "a login in an address": re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s/:@]+:[^\s/@]+@", re.IGNORECASE),
}
_CARD: Final = re.compile(r"(?<!\d)(?<!\d[.,])\d(?:[ -]?\d){12,18}(?!\d|[.,]\d)")


def withheld(text: str) -> str | None:
    """Return what kind of secret a text holds, such as `a password`; None where none is found."""
    for name, form in _FORMS.items():
        if form.search(text):
            return name
    if any(_is_card(re.sub(r"\D", "", found[0])) for found in _CARD.finditer(text)):
        return "a card number"
    return None


def _is_card(digits: str) -> bool:
    """Tell whether the last digit is the check digit of the others.

    Source: ISO/IEC 7812-1, annex B (the Luhn formula).
    """
    doubled = [int(one) * (1 + place % 2) for place, one in enumerate(reversed(digits))]
    return sum(one - 9 if one > 9 else one for one in doubled) % 10 == 0  # noqa: PLR2004 - digits of a number
