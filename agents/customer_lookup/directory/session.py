"""The HTTP session for the directory and its token endpoint: refused addresses, proxy, TLS."""

import logging
import socket
import ssl
from collections.abc import Mapping, Sequence
from typing import Any, Final

import aiohttp
from aiohttp.abc import ResolveResult
from yarl import URL

from agents.customer_lookup.directory.addresses import is_refused
from agents.customer_lookup.directory.endpoint import wire_endpoint
from agents.customer_lookup.directory.exchange import Exchange, Heard, read_at_most
from posstream.startup.hosts import is_loopback
from posstream.startup.tls_files import TlsFiles

log = logging.getLogger(__name__)

#: Longest header of an answer, its name included: 32 KB and some for the name.
_MAX_HEADER_BYTES: Final = 33 * 1024
_MAX_HEADERS: Final = 512
_PARSING: Final[Mapping[str, Any]] = {
    "auto_decompress": True,
    "max_line_size": _MAX_HEADER_BYTES,
    "max_field_size": _MAX_HEADER_BYTES,
    "max_headers": _MAX_HEADERS,
}
_HEADERS: Final = {"Accept": "application/json"}
#: A caller bounds its whole call. aiohttp's own bound of 300 s would cost a timer for each.
_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=30)


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
        self._exchange: Exchange | None = None

    async def open(self) -> None:
        """Make the pool; connections are bounded by the bulkhead, not here."""
        connector = aiohttp.TCPConnector(limit=0, ttl_dns_cache=60, resolver=_Resolver())
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=_HEADERS,
            trust_env=False,
            timeout=_TIMEOUT,
            **_PARSING,
        )
        self._exchange = Exchange(
            connector,
            headers=_HEADERS,
            timeout=_TIMEOUT,
            parsing={**_PARSING, "read_until_eof": True},
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
        options |= self._way(url)
        return self._session.request(method, url, allow_redirects=False, **options)

    async def get(
        self, base: URL, target: str, *, headers: Mapping[str, str], heard: Heard, limit: int
    ) -> bytes | None:
        """Get a body, as `Exchange.get` does; by a proxy, too.

        Raises:
            RefusedAddress: see `request`.
        """
        if self._exchange is None:
            raise RuntimeError("the directory is not open")
        way = self._way(base)
        if "proxy" not in way:
            return await self._exchange.get(
                base, target, headers=headers, ssl=way.get("ssl"), heard=heard, limit=limit
            )
        url = URL(f"{base.origin()}{target}", encoded=True)
        async with self.request("GET", url, headers=headers) as response:
            heard(response.status, response.headers)
            body = await read_at_most(response.content, limit)
            if body is None:
                response.close()
            return body

    def _way(self, url: URL) -> dict[str, Any]:
        """How a URL is called: aiohttp's options for proxy and TLS."""
        host = url.raw_host or ""
        if is_refused(host):  # aiohttp gives no address to a resolver
            raise RefusedAddress(host)
        way: dict[str, Any] = {}
        if self._proxy is not None and not is_loopback(host):
            way["proxy"] = self._proxy
        if self._tls is not None:
            own = any(same_origin(url, each) for each in self._own)
            way["ssl"] = self._tls.context(own=own)
        return way


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
