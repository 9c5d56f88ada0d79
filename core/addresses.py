"""Addresses that the operator sets: which can be asked, and how they are shown."""

import re
from typing import Final
from urllib.parse import urlsplit

_LOGIN: Final = re.compile(r"//[^/?#]*@")


def is_address(text: str) -> bool:
    """Return whether something can be asked over HTTP at an address."""
    from httpx import URL, InvalidURL  # noqa: PLC0415 - most commands ask nothing, and it takes time

    try:
        parts, _ = urlsplit(text), URL(text)
    except (ValueError, InvalidURL):
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


def shown_address(text: str) -> str:
    """Return an address without the login in it."""
    return _LOGIN.sub("//", text)
