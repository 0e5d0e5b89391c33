"""The HTTP session for the directory and its token endpoint: refused addresses, proxy, TLS."""

import logging
import socket
import ssl
from collections.abc import Sequence
from typing import Any, Final

import aiohttp
from aiohttp.abc import ResolveResult
from yarl import URL

from agents.customer_lookup.directory.addresses import is_refused
from agents.customer_lookup.directory.endpoint import wire_endpoint
from agents.customer_lookup.directory.tls_files import TlsFiles
from posstream.settings import is_loopback

log = logging.getLogger(__name__)

#: Longest header of an answer, its name included: 32 KB and some for the name.
_MAX_HEADER_BYTES: Final = 33 * 1024
_MAX_HEADERS: Final = 512


class RefusedAddress(OSError):
    """The host is, or resolves only to, a link-local or cloud metadata address."""


class DirectorySession:
    """One pool of HTTP connections, which follows no redirects. Open it before use.

    Args:
        proxy: `http://host:port`, with user and password if it wants them. Loopback addresses
            are called without it: they mean this machine.
        tls: files with more authorities or our own certificate; None = the machine's authorities.
        own: the client certificate is shown to the origins of these URLs only: an edit of the
            endpoint must not send it elsewhere.
    """

    def __init__(
        self, *, proxy: str | None = None, tls: TlsFiles | None = None, own: Sequence[URL] = ()
    ) -> None:
        self._proxy = None if proxy is None else URL(proxy)
        self._tls = None if tls is None else _TlsContexts(tls)
        self._own = own
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Make the pool; connections are bounded by the bulkhead, not here."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=60, resolver=_Resolver()),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Accept": "application/json"},
            auto_decompress=True,
            trust_env=False,
            max_line_size=_MAX_HEADER_BYTES,
            max_field_size=_MAX_HEADER_BYTES,
            max_headers=_MAX_HEADERS,
        )

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()

    def request(self, method: str, url: URL, **options: Any) -> Any:
        """Call a URL. Returns aiohttp's context manager of the response.

        Raises:
            RefusedAddress: if the host is a refused address. A name that resolves to one raises
                `ClientConnectorError` when the request is sent.
        """
        if self._session is None:
            raise RuntimeError("the directory is not open")
        host = url.raw_host or ""
        if is_refused(host):  # aiohttp gives no address to a resolver
            raise RefusedAddress(host)
        if self._proxy is not None and not is_loopback(host):
            options["proxy"] = self._proxy
        if self._tls is not None:
            own = any(same_origin(url, each) for each in self._own)
            options["ssl"] = self._tls.context(own=own)
        return self._session.request(method, url, allow_redirects=False, **options)


class _Resolver(aiohttp.ThreadedResolver):
    """Resolves names, and leaves out the addresses that must not be called."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await super().resolve(host, port, family)
        allowed = [address for address in found if not is_refused(address["host"])]
        if not allowed:
            raise RefusedAddress("the name leads to a link-local or cloud metadata address only")
        return allowed


class _TlsContexts:
    """TLS contexts for new connections; made again when a file changed (a renewed certificate)."""

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self._make()

    def context(self, *, own: bool) -> ssl.SSLContext:
        """The TLS context for a connection: with our client certificate if `own`."""
        if self._files.stamp() != self._stamp:
            try:
                self._make()
            except ValueError:
                log.warning(
                    "a changed certificate or key file cannot be used, TLS to the directory stays "
                    "as it was: see POSSTREAM_API_CA_FILE, POSSTREAM_API_CLIENT_CERT_FILE and "
                    "POSSTREAM_API_CLIENT_KEY_FILE"
                )
        return self._of_own if own else self._of_others

    def _make(self) -> None:
        self._stamp = self._files.stamp()
        of_own = self._files.context(with_certificate=True)
        self._of_others = self._files.context(with_certificate=False)
        self._of_own = of_own


def wire_url(url: str) -> URL:
    """A URL of the settings or the configuration, encoded as it is sent."""
    return URL(wire_endpoint(url), encoded=True)


def same_origin(one: URL, other: URL) -> bool:
    """Whether two URLs have scheme, host and port in common, as aiohttp connects to them."""
    origins = {(url.scheme, (url.raw_host or "").lower(), url.port) for url in (one, other)}
    return len(origins) == 1


async def read_at_most(response: aiohttp.ClientResponse, limit: int) -> bytes | None:
    """The body of a response; None, and the connection closed, if it is longer than `limit`."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > limit:
            response.close()
            return None
    return bytes(body)
