"""The URL of a directory: which one is allowed, and how it is sent."""

from functools import lru_cache
from typing import Final
from urllib.parse import quote, urlsplit, urlunsplit

from yarl import URL

from agents.customer_lookup.directory.addresses import REFUSED, is_refused
from posstream.domain.payment_card import holds_payment_card

#: Longest endpoint, in characters.
MAX_ENDPOINT: Final = 2000


def check_endpoint(url: object) -> str | None:  # noqa: PLR0911 - one sentence each
    """Why a URL cannot be a directory endpoint, or None if it can."""
    if not isinstance(url, str) or len(url) > MAX_ENDPOINT:
        return f"must be a URL of at most {MAX_ENDPOINT:,} characters"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "is not a URL"
    if parts.scheme not in {"http", "https"} or not host:
        return "must start with http:// or https:// and name a host"
    if parts.username is not None or parts.password is not None:
        return "must not carry a user name or password: credentials belong in the settings"
    if parts.fragment or any(c.isspace() or not c.isprintable() for c in url):
        return "must have no fragment and no blank"
    if holds_payment_card(url):
        return "must hold no payment-card number"
    try:
        wire_host = urlsplit(wire_endpoint(url)).hostname or ""
    except ValueError:
        return "must name a host that can be written in ASCII"
    # Checked in the form that is called: 169\u3002254\u3002169\u3002254 is an address, too.
    return REFUSED if is_refused(wire_host) else None


@lru_cache(maxsize=16)  # each call to a directory asks
def wire_endpoint(url: str) -> str:
    """A URL as it is sent: its host in Punycode, other letters than ASCII percent-encoded.

    What is encoded already stays as it is.

    Raises:
        ValueError: if the host cannot be written so.
    """
    parts = urlsplit(url)
    netloc = parts.netloc
    if not netloc.isascii():
        host = URL.build(scheme=parts.scheme, host=parts.hostname or "").raw_host or ""
        netloc = host if parts.port is None else f"{host}:{parts.port}"
    path = quote(parts.path, safe="/%:@!$&'()*+,;=~")
    query = quote(parts.query, safe="/%:@!$&'()*+,;=~?[]")
    return urlunsplit((parts.scheme, netloc, path, query, ""))
