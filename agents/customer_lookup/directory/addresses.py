"""Judges where a directory may be: no link-local and no cloud metadata address. Pure.

The directory's endpoint can be edited while workers run. It must never be an address that gives the
machine its cloud credentials, in any spelling that a resolver or a gateway accepts.
"""

import contextlib
import ipaddress
import socket
from collections.abc import Iterator
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final
from urllib.parse import unquote

#: The end of an error sentence about a setting with such a host.
REFUSED: Final = "must not be a link-local address or a cloud metadata address"

_REFUSED_4: Final = (
    IPv4Network("169.254.0.0/16"),  # link-local; AWS, Azure, GCP, Oracle, OpenStack and others
    IPv4Network("100.100.100.200/32"),  # Alibaba Cloud
    IPv4Network("168.63.129.16/32"),  # Azure's WireServer
    IPv4Network("192.0.0.192/32"),  # Oracle Cloud Classic
)
_REFUSED_6: Final = (
    IPv6Network("fe80::/10"),  # link-local
    IPv6Network("fd00:ec2::/32"),  # AWS: metadata, EKS Pod Identity, name and time servers
    IPv6Network("fd20:ce::254/128"),  # Google Cloud
    IPv6Network("fd00:c1::a9fe:a9fe/128"),  # Oracle Cloud
    IPv6Network("fd00:42::42/128"),  # Scaleway
    IPv6Network("fd00:a9fe:a9fe::1/128"),  # Akamai
)
#: Names of metadata services. Our resolver would find their addresses, but a proxy resolves names
#: itself.
_REFUSED_NAMES: Final = frozenset(
    {
        "metadata",
        "metadata.goog",
        "metadata.google.internal",
        "instance-data",
        "instance-data.ec2.internal",
    }
)
#: IPv6 networks -> how far to the left of the last bit an IPv4 address ends in their addresses.
_EMBEDDING: Final = (
    (IPv6Network("::/96"), 0),  # IPv4-compatible (RFC 4291, 2.5.5.1)
    (IPv6Network("::ffff:0:0/96"), 0),  # IPv4-mapped (RFC 4291, 2.5.5.2)
    (IPv6Network("::ffff:0:0:0/96"), 0),  # IPv4-translated (RFC 2765)
    (IPv6Network("64:ff9b::/96"), 0),  # NAT64 (RFC 6052)
    (IPv6Network("64:ff9b:1::/48"), 0),  # NAT64 of a site's own (RFC 8215), with a prefix of /96
    (IPv6Network("64:ff9b:1::/48"), 24),  # the same with /64
    (IPv6Network("2002::/16"), 80),  # 6to4 (RFC 3056)
    (IPv6Network("2001::/32"), 64),  # Teredo's server (RFC 4380)
)
_TEREDO: Final = IPv6Network("2001::/32")
_LOCAL_NAT64: Final = IPv6Network("64:ff9b:1::/48")
#: The part of an ISATAP address before its IPv4 address, without the bit "universal".
_ISATAP: Final = 0x00005EFE
_32_BITS: Final = 0xFFFF_FFFF


@lru_cache(maxsize=256)  # each call to a directory asks
def is_refused(host: str) -> bool:
    """Whether a host must not be called.

    Args:
        host: a name, or an address in any spelling that a resolver takes: `0xa9fea9fe`,
            `2852039166`, `169.254.43518`, percent-encoded, with dots at the end, in IPv6 with a
            zone.
    """
    host = unquote(host).strip("[]").rstrip(".").lower()  # a proxy may decode it, too
    if host in _REFUSED_NAMES:
        return True
    with contextlib.suppress(ValueError):
        address = ipaddress.ip_address(host)
        return _is_refused_4(address) if address.version == 4 else _is_refused_6(address)  # noqa: PLR2004
    with contextlib.suppress(OSError, ValueError):
        return _is_refused_4(IPv4Address(socket.inet_aton(host)))
    return False


def _is_refused_4(address: IPv4Address) -> bool:
    return any(address in network for network in _REFUSED_4)


def _is_refused_6(address: IPv6Address) -> bool:
    return any(address in network for network in _REFUSED_6) or any(
        _is_refused_4(IPv4Address(inner & _32_BITS)) for inner in _embedded(address)
    )


def _embedded(address: IPv6Address) -> Iterator[int]:
    """The IPv4 addresses to which gateways may lead, in the last 32 bits of each number."""
    bits = int(address)
    for network, shift in _EMBEDDING:
        if address in network:
            yield bits >> shift
    if address in _TEREDO:
        yield ~bits  # the client's
    if address in _LOCAL_NAT64:
        # Prefixes of /48 and /56: bits 64 to 71 are not a part of the IPv4 address (RFC 6052, 2.2).
        yield (bits >> 64 & 0xFFFF) << 16 | (bits >> 40 & 0xFFFF)
        yield (bits >> 64 & 0xFF) << 24 | (bits >> 32 & 0xFF_FFFF)
    if bits >> 32 & ~0x0200_0000 & _32_BITS == _ISATAP:
        yield bits
