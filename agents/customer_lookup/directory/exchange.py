"""Sends one GET over aiohttp's pool of connections, without the objects of its session.

A session makes a request, a writer, a response and three copies of the headers for each call. Here
one request of aiohttp stands for all calls to an origin. Pool, names, TLS and parser are aiohttp's.
"""

from collections.abc import Callable, Mapping
from ssl import SSLContext
from typing import Any, Final

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http_writer import _serialize_headers
from aiohttp.streams import StreamReader
from yarl import URL

#: Called with the status and the headers of an answer.
Heard = Callable[[int, Mapping[str, str]], None]

#: Endpoints whose requests are kept: more than a worker ever calls.
_MOST_BASES: Final = 16


class Exchange:
    """Sends GETs; for one event loop.

    Args:
        connector: the pool of connections.
        headers: sent with each call.
        timeout: for connecting; the caller bounds the whole call.
        parsing: what an answer may look like, as `ResponseHandler.set_response_params` takes it.
    """

    def __init__(
        self,
        connector: aiohttp.BaseConnector,
        *,
        headers: Mapping[str, str],
        timeout: aiohttp.ClientTimeout,
        parsing: Mapping[str, Any],
    ) -> None:
        self._connector = connector
        self._headers = headers
        self._timeout = timeout
        self._parsing = parsing
        #: For each base and TLS context, a request that all calls have in common, and its headers
        #: as they are sent.
        self._requests: dict[tuple[URL, Any], tuple[aiohttp.ClientRequest, bytes]] = {}

    async def get(  # noqa: PLR0913 - what a call is made of
        self,
        base: URL,
        target: str,
        *,
        headers: Mapping[str, str],
        ssl: SSLContext | None,
        heard: Heard,
        limit: int,
    ) -> bytes | None:
        """Get a target, once more if a kept connection turns out to be closed.

        Args:
            base: a URL of the origin, without user and password; its path does not matter.
            target: path and query, encoded.
            headers: of this call.
            ssl: the TLS context; None: aiohttp's own.
            heard: told of the status and the headers before the body is read.
            limit: longest body that is read, in bytes.

        Returns:
            the body; None, and the connection closed, if it is longer than `limit`.

        Raises:
            aiohttp.ClientError, OSError: no connection, or it broke off.
            HttpProcessingError: the answer is not HTTP.
        """
        request, head = self._request_for(base, ssl)
        if headers:
            all_headers = request.headers.copy()
            all_headers.update(headers)
            head = _serialize_headers("", all_headers)
        head = b"GET %b HTTP/1.1%b" % (target.encode("ascii"), head)
        try:
            return await self._exchange(request, head, heard, limit)
        except aiohttp.ClientConnectorError:
            raise
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError):
            # RFC 9112, 9.3.1: the server may have closed the connection just before we wrote.
            return await self._exchange(request, head, heard, limit)

    def _request_for(
        self, base: URL, ssl: SSLContext | None
    ) -> tuple[aiohttp.ClientRequest, bytes]:
        found = self._requests.get((base, ssl))
        if found is None:
            if len(self._requests) >= _MOST_BASES:
                self._requests.clear()
            request = aiohttp.ClientRequest(
                "GET", base.origin(), headers=self._headers, ssl=True if ssl is None else ssl
            )
            found = self._requests[base, ssl] = request, _serialize_headers("", request.headers)
        return found

    async def _exchange(
        self, request: aiohttp.ClientRequest, head: bytes, heard: Heard, limit: int
    ) -> bytes | None:
        connection = await self._connector.connect(request, [], self._timeout)
        try:
            protocol = self._write(connection, head)
            message, content = await protocol.read()
            while message.code < 200 and message.code != 101:  # noqa: PLR2004 - interim ones
                message, content = await protocol.read()
            heard(message.code, message.headers)
            body = await read_at_most(content, limit)
        except BaseException:
            connection.close()
            raise
        if body is None:
            connection.close()
        else:
            connection.release()
        return body

    def _write(self, connection: Connection, head: bytes) -> ResponseHandler:
        protocol, transport = connection.protocol, connection.transport
        if protocol is None or transport is None or transport.is_closing():
            raise aiohttp.ClientConnectionResetError("the connection is closing")
        protocol.set_response_params(**self._parsing)
        transport.write(head)
        return protocol


async def read_at_most(content: StreamReader, limit: int) -> bytes | None:
    """The whole of a body; None, and not read to its end, if it is longer than `limit` bytes."""
    if content.is_eof():  # it came with the headers: most do
        whole: bytes = content.read_nowait()
        return whole if len(whole) <= limit else None
    body = bytearray()
    async for chunk in content.iter_any():
        body += chunk
        if len(body) > limit:
            return None
    return bytes(body)
