"""Which addresses a request may go to, decided before any connection is made.

A key is bound to the host of its base URL: https only, except to this machine; no user or password in
the URL; a public name that leads into the private network is refused, because that is how a
prompt-supplied or mistyped URL reaches what only this machine may reach.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from workbench.errors import ConfigError

__all__ = ["Address", "check_ip", "parse_address"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """A checked base URL.

    Attributes:
        url: without a trailing slash.
        host: the bare host name, lower case; what TLS and the resolver see.
        netloc: host, and the port where one is written; what is stored and shown.
        loopback: whether it is this machine.
        private: whether addresses of a private network are allowed.

    """

    url: str
    host: str
    netloc: str
    loopback: bool
    private: bool


def parse_address(url: str, *, private: bool = False) -> Address:
    """Check a base URL.

    Args:
        url: such as ``https://api.example.com/v1`` or ``http://127.0.0.1:11434/v1``.
        private: allow addresses of a private network (10/8, 192.168/16 …); still https.

    Raises:
        ConfigError: the URL is malformed, not https, holds a password, or its host is refused.

    >>> parse_address("http://localhost:8000/v1/").url
    'http://localhost:8000/v1'
    """
    try:
        parts = urlsplit(url.strip())
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError as error:
        raise ConfigError(f"the server URL {url!r} is malformed: {error}", cure=_EXAMPLE) from error
    if parts.username is not None or parts.password is not None:
        raise ConfigError(
            f"the server URL for {host} holds a user name or password",
            cure="take it out of the URL and set WORKBENCH_ENDPOINT_<NAME>_KEY",
        )
    if parts.scheme not in {"http", "https"} or not host or parts.query or parts.fragment:
        raise ConfigError(f"the server URL {url!r} is not a base URL", cure=_EXAMPLE)
    ip = _ip(host)
    loopback = host == "localhost" or (ip is not None and ip.is_loopback)
    if parts.scheme == "http" and not loopback:
        raise ConfigError(
            f"the server URL {url!r} would send the key and the prompts unencrypted",
            cure=f"use https://{host}; plain http is for this machine only (127.0.0.1, localhost)",
        )
    netloc = f"[{host}]" if ":" in host else host
    netloc = netloc if port is None else f"{netloc}:{port}"
    address = Address(
        url=f"{parts.scheme}://{netloc}{parts.path.rstrip('/')}",
        host=host,
        netloc=netloc,
        loopback=loopback,
        private=private,
    )
    if ip is not None:
        check_ip(address, host)
    return address


def check_ip(address: Address, found: str) -> None:
    """Refuse an IP address that the host of a base URL must not lead to.

    Called for a literal address and again for everything that the name resolves to.

    Raises:
        ConfigError: the address is private, link-local (where clouds keep their metadata), reserved,
            or not this machine although the name says so.

    """
    ip = _ip(found)
    if ip is not None and address.loopback and ip.is_loopback:
        return
    if ip is not None and not address.loopback:
        if ip.is_global and not ip.is_multicast:
            return
        if address.private and not (ip in _METADATA or any(getattr(ip, name) for name in _NEVER)):
            return
    raise ConfigError(
        f"{address.host} leads to {found}, which is not an address that a request may go to",
        cure="use the server's public name, or 127.0.0.1 for a server on this machine",
    )


_NEVER = ("is_loopback", "is_link_local", "is_reserved", "is_unspecified", "is_multicast")

#: Where clouds hand out a machine's credentials, outside the link-local range.
_METADATA = frozenset(map(ipaddress.ip_address, ("fd00:ec2::254", "100.100.100.200", "192.0.0.192")))

_EXAMPLE = "write it like https://api.example.com/v1"


def _ip(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        ip = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = getattr(ip, "ipv4_mapped", None)
    return ip if mapped is None else ipaddress.IPv4Address(mapped)
