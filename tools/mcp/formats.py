"""The string formats of JSON Schema that are checked, each by its own standard."""

import re
from collections.abc import Callable
from datetime import date, datetime, time
from functools import lru_cache, partial
from ipaddress import IPv4Address, IPv6Address
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from jsonschema import FormatChecker

_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
_TIME = re.compile(r"\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
_DURATION = re.compile(r"P(?!$)(\d+W|(\d+Y)?(\d+M)?(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+S)?)?)")


@lru_cache(maxsize=1)
def formats() -> FormatChecker:
    """Return the checker of `date-time`, `date`, `time`, `duration`, `email`, `uri`, `uuid`, `ipv4`, `ipv6`.

    Other formats are not checked: their server knows them.

    Source: RFC 3339 (times, durations in its appendix A), RFC 4122, RFC 3986.
    """
    checker = FormatChecker(())
    checks: dict[str, Callable[[str], bool]] = {
        "date-time": lambda text: (
            bool(_DATE_TIME.fullmatch(text)) and _reads(datetime.fromisoformat, text.upper())
        ),
        "date": lambda text: bool(_DATE.fullmatch(text)) and _reads(date.fromisoformat, text),
        "time": lambda text: bool(_TIME.fullmatch(text)) and _reads(time.fromisoformat, text.upper()),
        "duration": lambda text: bool(_DURATION.fullmatch(text)),
        "email": lambda text: bool(_EMAIL.fullmatch(text)),
        "uri": lambda text: (
            not re.search(r"\s", text) and _reads(urlsplit, text) and bool(urlsplit(text).scheme)
        ),
        "uuid": lambda text: text.count("-") == 4 and _reads(UUID, text),  # noqa: PLR2004 - 8-4-4-4-12
        "ipv4": lambda text: _reads(IPv4Address, text),
        "ipv6": lambda text: _reads(IPv6Address, text),
    }
    for name, check in checks.items():
        checker.checks(name)(partial(_if_text, check))
    return checker


def _if_text(check: Callable[[str], bool], value: Any) -> bool:
    return not isinstance(value, str) or check(value)


def _reads(parse: Any, text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True
