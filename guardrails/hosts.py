"""To which host an address leads: an e-mail's, a page's, or a name."""

import re
from collections.abc import Container
from typing import Final
from urllib.parse import urlsplit

_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?\.?", re.ASCII)
_MAIL: Final = re.compile(r"""[^@\s,;:<>()\[\]"\\]+@([^@]+)""")
_READ_OTHERWISE: Final = re.compile(r"[\s\\\x00-\x1f\x7f]")
"""What programs read in different ways where it stands in the address of a page."""


def host_of(address: object) -> str | None:
    """Return the host in small letters, or None where there is none that every program would see there."""
    if not isinstance(address, str) or _READ_OTHERWISE.search(address):
        return None
    if "://" in address:
        try:
            host = urlsplit(address).hostname or ""
        except ValueError:
            return None
    elif "@" in address:
        found = _MAIL.fullmatch(address)
        host = found[1] if found else ""
    else:
        host = address
    host = host.lower()
    return host.removesuffix(".") if _NAME.fullmatch(host) else None


def is_outside(address: object, hosts: Container[str]) -> bool:
    """Tell whether an address leads to none of these hosts; one that can't be read does not."""
    host = host_of(address)
    return host is None or host not in hosts
