"""Reads the hosts in settings: names or addresses, of this machine or of another. No I/O."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens on this host."""
    if host.lower().removesuffix(".") == "localhost":
        return True
    address = address_of(host)
    return address is not None and address.is_loopback


def is_unspecified(host: str) -> bool:
    """Whether this stands for all addresses of the machine."""
    address = address_of(host)
    return not host or (address is not None and address.is_unspecified)


def in_url(host: str) -> str:
    """A host as URLs write it: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def without_brackets(host: str) -> str:
    """A host as sockets want it."""
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


def address_of(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The IP address that a host is, None for a name; an IPv4-mapped one becomes IPv4."""
    try:
        address = ipaddress.ip_address(without_brackets(host))
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
