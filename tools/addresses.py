"""Which machines a request may reach: the public ones, decided on the address that is then connected to.

A name says nothing: it may lead to our own network, and to another address a moment later. So a name is
looked up once, every address it has is checked, and the connection is made to one of exactly these.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Collection, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from socket import EAI_AGAIN, SOCK_STREAM, gaierror

import httpx

from core.errors import ToolError, TransientError

PORTS = frozenset({80, 443})
MAX_ATTEMPTS = 3
_DEFAULT_PORTS = {"http": 80, "https": 443}
_PUBLIC_V6 = IPv6Network("2000::/3")
_NEVER: tuple[IPv4Network | IPv6Network, ...] = tuple(
    map(
        ip_network,
        (
            "0.0.0.0/8",
            "100.64.0.0/10",  # between carriers and their customers
            "192.0.0.0/24",
            "192.88.99.0/24",  # relays of 6to4
            "198.18.0.0/15",
            "2001::/23",  # Teredo and other protocols, which carry addresses of version 4
            "2001:db8::/32",
            "2002::/16",  # 6to4, which carries an address of version 4
            "3fff::/20",
        ),
    )
)
"""Beside what Python calls not global, whose list depends on its version.

Source: the IANA special-purpose address registries for IPv4 and IPv6.
"""

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Returns the addresses of a name and a port."""


def is_public(address: str) -> bool:
    """Return whether an IP address is one of the internet, and carries no other address in it."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    if parsed.version == 6 and parsed not in _PUBLIC_V6:  # noqa: PLR2004 - IPv6
        return False  # NAT64, mapped and compatible addresses lie out there, and everything local
    if not parsed.is_global or parsed.is_multicast or parsed.is_reserved:
        return False
    return not any(parsed.version == network.version and parsed in network for network in _NEVER)


async def resolved(host: str, port: int) -> list[str]:
    """Return the addresses that the operating system has for a name, in its order.

    Raises:
        ToolError: there is no such name.
        TransientError: it can't be looked up now.
    """
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=SOCK_STREAM)
    except gaierror as error:
        if error.errno == EAI_AGAIN:
            raise TransientError(f"{host} can't be looked up now: {error.strerror}.") from error
        raise ToolError(f"There is no host {host!r}. Check the address.") from error
    except UnicodeError as error:
        raise ToolError(f"{host!r} is no name of a host.") from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class PublicTransport(httpx.AsyncBaseTransport):
    """Reaches public hosts only, each request at an address that was checked for this very request.

    Args:
        hosts: names, as `name` or `name:port`, that may be reached at whatever address they have.
        tls: what is trusted.
        resolve: looks names up.

    Every request, so every step of a redirect too, raises `ToolError` where it may not be made.
    """

    def __init__(self, hosts: Collection[str], tls: ssl.SSLContext, *, resolve: Resolve = resolved) -> None:
        self._hosts = frozenset(host.lower() for host in hosts)
        self._resolve = resolve
        # No connection is kept: one that was opened to an address under one name must not serve another.
        self._inner = httpx.AsyncHTTPTransport(
            verify=tls, trust_env=False, limits=httpx.Limits(max_keepalive_connections=0)
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request to a checked address of its host."""
        name = _name(request.url)
        addresses = await self._addresses(request.url, name)
        for number, address in enumerate(addresses[:MAX_ATTEMPTS], 1):
            pinned = httpx.Request(
                request.method,
                request.url.copy_with(host=address),
                headers=request.headers,  # with the name as `Host`
                stream=request.stream,
                extensions={**request.extensions, "sni_hostname": name},
            )
            try:
                return await self._inner.handle_async_request(pinned)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                if number == min(len(addresses), MAX_ATTEMPTS):
                    raise
        raise ToolError(f"{name} has no address.")

    async def aclose(self) -> None:
        """Close all connections."""
        await self._inner.aclose()

    async def _addresses(self, url: httpx.URL, name: str) -> Sequence[str]:
        port = _port(url)
        addresses = await self._resolve(name, port)
        if {name, f"{name}:{port}"} & self._hosts:
            return addresses
        if port not in PORTS:
            raise ToolError(f"Port {port} of {name} may not be reached; only 80 and 443.")
        if not all(map(is_public, addresses)):
            raise ToolError(f"{name} is not on the public internet, so it may not be reached.")
        return addresses


def _port(url: httpx.URL) -> int:
    if url.scheme not in _DEFAULT_PORTS:
        raise ToolError(f"{url.scheme!r} addresses may not be reached; only http and https.")
    return url.port or _DEFAULT_PORTS[url.scheme]


def _name(url: httpx.URL) -> str:
    if url.userinfo:
        raise ToolError("The address has a user name or a password in it; give it without.")
    name = url.raw_host.decode("ascii").rstrip(".").lower()
    if not name:
        raise ToolError("The address names no host.")
    return name
