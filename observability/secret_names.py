"""What secrets are called: in the plural, numbered, abbreviated, and with what they open before them."""

from collections.abc import Iterable
from typing import Final

_TOKENS: Final = ("access", "refresh", "auth", "api", "bearer")
_PASSES: Final = (
    *("user", "login", "admin", "root", "auth", "proxy", "db", "database"),
    *("smtp", "imap", "mail", "ftp", "ssh"),
)
_KEYS: Final = (
    *("api", "access", "private", "account", "shared", "secret", "signing", "encryption", "decryption"),
    *("master", "service", "service role", "ssh", "auth", "app", "admin", "deploy", "webhook", "jwt", "hmac"),
    *("license", "licence", "application"),
)


def _behind(words: Iterable[str], last: str) -> str:
    """Return an expression for `last` behind one of these words, which begins with `last`: a quick search."""
    told = (f"{word}{between}{last}".replace(" ", "[ _.-]") for word in words for between in ("", " "))
    return f"{last}(?:{'|'.join(f'(?<={one})' for one in told)})"


_NO_PAGE: Final = "".join(
    f"(?<!{word}{between}token)"
    for word in ("page", "next", "continuation", "pagination", "cursor")
    for between in ("", "[ _-]")
)
"""The tokens by which lists are read on are no secrets."""
_NO_SYNTAX: Final = "(?<!expected token)"
"""Nor are those of a language, as errors of syntax tell of them."""
NAMES: Final = (
    r"(?:pass(?:word|wd|phrase|code|wort)|kennwort|pwd|pw(?<![a-z]pw)|creds?(?<![a-z]cred)(?<![a-z]creds)"
    rf"|credential|secret|session[ _-]?id|token{_NO_PAGE}{_NO_SYNTAX}|{_behind(_TOKENS, 'tokens')}"
    rf"|{_behind(_PASSES, 'pass')}|{_behind(_KEYS, 'key')})(?:(?<!token)s)?(?:[_-]?\d{{1,3}})?"
)
"""In a text, in small letters. The word `tokens` alone tells how many there are."""
ABOUT: Final = (
    r"[_.-](?:types?|url|uri|endpoint|count|limit|budget|usage|policy|length|expiry|expiration"
    r"|expires?(?:[_.-](?:at|in|on))?|(?:last[_.-])?(?:changed|updated|created|rotated|expired|reset)"
    r"[_.-](?:at|on|date))(?![a-z0-9])"
)
"""Behind such a name: what is something of a secret that tells nothing of the secret itself."""
NEEDLES: Final = ("pass", "kennwort", "pw", "secret", "cred", "token", "key", "session")
"""One of these is in each name."""
NAMED: Final = (
    rf"(?i)(?:.*?{NAMES}|(?:^|.*[^a-z])(?:pass|authorization|cookie|pin|cvv2?|cvc2?|otp)s?)"
    r"(?:[ _-]?(?:confirm(?:ation)?|repeat|again|new|old|current|hash|value|pem))?(?:[ _-]?\d{1,3})?"
)
"""As the name of a field."""
