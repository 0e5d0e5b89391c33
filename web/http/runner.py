"""aiohttp's runner with connections that are bounded in number and time, and errors in JSON.

A request that is no HTTP reaches no middleware, so it is answered here. This is the one module that
touches private names of aiohttp; `tests/component/test_connections.py` and `test_web_hostile.py`
fail if an upgrade changes them.
"""

import asyncio
import http
import socket
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, cast

from aiohttp import hdrs, web
from aiohttp.http_exceptions import ContentEncodingError
from aiohttp.web_protocol import RequestHandler, RequestPayloadError

from web.http.answers import SAFE_HEADERS, error_answer, unsupported_encoding
from web.http.connections import PROGRESS_BYTES, Connections, Wait, Waiting

if TYPE_CHECKING:
    from aiohttp.streams import StreamReader

#: Without this header aiohttp adds its own, with its version and Python's.
_SERVER: Final = "posstream"
_UNREADABLE: Final = "the request is no HTTP that can be read, or its header is too long"
#: How long open requests may finish at a stop, in seconds; the till has its own retries.
SHUTDOWN_TIMEOUT_SECONDS: Final = 1.0
#: The send buffer of a connection: the system's own grows to megabytes if a client does not read.
_SEND_BUFFER_BYTES: Final = 128 * 1024
#: How long the last answer before a close may take to be sent, in seconds.
_LAST_WORD_SECONDS: Final = 1.0
#: How long the rest of a body is read that no handler has read.
_LINGERING_SECONDS: Final = 2.0


class PlainRunner(web.AppRunner):
    """An `AppRunner` whose connections are bounded, and whose own errors are plain JSON."""

    def __init__(self, application: web.Application, connections: Connections) -> None:
        super().__init__(
            application,
            access_log=None,
            handle_signals=False,
            shutdown_timeout=SHUTDOWN_TIMEOUT_SECONDS,
            lingering_time=_LINGERING_SECONDS,
        )
        self._bounds = connections

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        options = made._kwargs  # noqa: SLF001 - there is no other way in
        return _Server(
            made.request_handler, self._bounds, request_factory=made.request_factory, **options
        )


class _Server(web.Server):
    def __init__(
        self,
        handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        bounds: Connections,
        **options: object,
    ) -> None:
        super().__init__(handler, **options)  # type: ignore[arg-type]
        self.bounds = bounds

    def __call__(self) -> RequestHandler:
        return Connection(self, loop=self._loop, **self._kwargs)


class Connection(RequestHandler):
    """A connection that knows what it waits for."""

    def __init__(self, server: _Server, **options: object) -> None:
        super().__init__(server, **options)  # type: ignore[arg-type]
        self.address = ""
        self._bounds = server.bounds
        #: The transport: aiohttp drops its own while answers still wait to be read.
        self._wire: asyncio.Transport | None = None
        #: Since when the connection waits for a request.
        self._since = 0.0
        #: When a header began that is not complete.
        self._header_since: float | None = None
        self._body: StreamReader | None = None
        self._body_since = 0.0
        #: When the client stopped reading, and how much waited then.
        self._stuck: tuple[float, int] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admit the connection, or answer 503 and close it."""
        self._wire = wire = cast("asyncio.Transport", transport)
        self._since = self._loop.time()
        peer = wire.get_extra_info("peername")
        self.address = str(peer[0]) if isinstance(peer, tuple) else ""
        if self._bounds.admit(self):
            connected = wire.get_extra_info("socket")
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
            super().connection_made(transport)
        else:
            self._force_close = True
            self._last_word(503, "the worker has too many connections; try again later")

    def connection_lost(self, exc: BaseException | None) -> None:
        """Free the place of the connection."""
        self._bounds.forget(self)
        self._wire = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read data, and note when a header begins."""
        before = self._request_count
        super().data_received(data)
        if self._request_count != before:
            self._header_since = None
        elif data and self._header_since is None and not self._request_in_progress:
            self._header_since = self._loop.time()

    def pause_writing(self) -> None:
        """Note that the client does not read its answer."""
        super().pause_writing()
        self._stuck = (self._loop.time(), self.unread_bytes)
        self._bounds.unread(self)

    def resume_writing(self) -> None:
        """Note that the client reads its answer again."""
        super().resume_writing()
        self._stuck = None
        self._since = self._loop.time()
        self._bounds.read(self)

    async def _handle_request(
        self,
        request: web.BaseRequest,
        start_time: float | None,
        request_handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
    ) -> tuple[web.StreamResponse, bool]:
        self._body, self._body_since = request.content, self._loop.time()
        answered = await super()._handle_request(request, start_time, request_handler)
        self._since = self._loop.time()
        return answered

    # -- as `Connections` sees it

    @property
    def unread_bytes(self) -> int:
        """How much of the answers waits in memory."""
        return 0 if self._wire is None else self._wire.get_write_buffer_size()

    def waiting(self) -> Waiting | None:
        """What it waits for."""
        if self._wire is not None and self._wire.is_closing():
            return Waiting(Wait.READER, self._since)
        if self._stuck is not None:
            return Waiting(Wait.READER, self._read_since(*self._stuck))
        if self._body is not None and not self._body.is_eof():
            return Waiting(Wait.BODY, self._body_since)
        if self._request_in_progress or self._messages or self._payload_parser is not None:
            return None
        if self._header_since is not None:
            return Waiting(Wait.HEADER, self._header_since)
        return Waiting(Wait.REQUEST, self._since, is_new=self._request_count == 0)

    def _read_since(self, since: float, unread: int) -> float:
        """When the client read the last piece of what waits for it."""
        left = self.unread_bytes
        if unread - left >= PROGRESS_BYTES:
            since = self._loop.time()
            self._stuck = (since, left)
        return since

    def end(self, wait: Wait) -> None:
        """Close the connection; a client that sent half of a request is told why."""
        request = self._current_request
        unanswered = request is None or request.writer.output_size == 0
        if wait in {Wait.HEADER, Wait.BODY} and unanswered:
            self._last_word(408, "the request did not come in time")
        elif self._wire is not None:
            self._wire.abort()

    def _last_word(self, status: int, message: str) -> None:
        wire = self._wire
        if wire is None:
            return
        wire.write(_plain(status, message))
        wire.close()
        # If the client does not read this either.
        self._loop.call_later(_LAST_WORD_SECONDS, wire.abort)

    def log_exception(self, *args: object, exc_info: object = None, **more: object) -> None:
        """Log an exception, unless the client sent a broken body or has gone."""
        if not isinstance(exc_info, RequestPayloadError | ConnectionError):
            super().log_exception(*args, exc_info=exc_info, **more)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to a request that cannot be read, or whose answer could not be made.

        What was sent is neither answered nor logged: it can hold a customer's identifier.
        """
        if isinstance(exc, ConnectionError) and (self._wire is None or self._wire.is_closing()):
            raise exc  # there is nobody to answer
        if status == http.HTTPStatus.INTERNAL_SERVER_ERROR:
            super().handle_error(request, status, exc, message)  # logs it
        elif request.writer.output_size > 0:
            raise ConnectionError("the answer has begun")
        known = http.HTTPStatus(status)
        if isinstance(exc, ContentEncodingError):
            answer = unsupported_encoding()
        else:
            said = _UNREADABLE if known is http.HTTPStatus.BAD_REQUEST else known.phrase
            answer = error_answer(status, known.name, said)
        answer.headers.update({**SAFE_HEADERS, hdrs.SERVER: _SERVER})
        answer.force_close()
        return answer


def _plain(status: int, message: str) -> bytes:
    """A whole HTTP answer, for a connection that has no request."""
    known = http.HTTPStatus(status)
    answer = error_answer(status, known.name, message, headers=SAFE_HEADERS)
    body = answer.body if isinstance(answer.body, bytes) else b""
    lines = [
        f"HTTP/1.1 {known.value} {known.phrase}",
        *(f"{name}: {value}" for name, value in answer.headers.items()),
        f"Content-Length: {len(body)}",
        "Connection: close",
        *(["Retry-After: 10"] if known is http.HTTPStatus.SERVICE_UNAVAILABLE else []),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
