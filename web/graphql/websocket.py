"""GraphQL over WebSocket, by the protocol `graphql-transport-ws` of the library graphql-ws.

A client is checked before the upgrade: the key or the session's cookie, the Host and the Origin. A
key in `connection_init` is not read: anybody could then hold a socket without a key, and the script
of a page would need the key. A script cannot read the cookie.
"""

import asyncio
import contextlib
import logging
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Final, Never

import orjson
from aiohttp import WSMsgType, hdrs, web
from graphql import DocumentNode, GraphQLError, OperationType

from posstream.domain.errors import SubscriberTooSlow
from web.access.guard import session_seconds_left
from web.graphql.context import GraphQLContext, refusal
from web.graphql.execution import Executor, formatted, operation_type
from web.graphql.request import BadRequest, Parameters, read_parameters
from web.http.answers import error_answer, new_reference
from web.http.streams import SEND_SECONDS, OpenStreams

logger = logging.getLogger(__name__)

PROTOCOL: Final = "graphql-transport-ws"
#: How long a client may take to introduce itself; the protocol's library takes as long.
INIT_SECONDS: Final = 3.0
#: Operations at once on one connection.
MAX_OPERATIONS: Final = 100
#: Longest message; an HTTP request may be as long.
MAX_MESSAGE_BYTES: Final = 256 * 1024
_MAX_ID_LENGTH: Final = 256
#: How often a silent client is asked whether it is there.
_HEARTBEAT_SECONDS: Final = 12.0
_CLOSE_SECONDS: Final = 1.0
#: A close frame has room for no more (RFC 6455, 5.5).
_MAX_REASON_BYTES: Final = 123


class CloseCode(IntEnum):
    """Why a connection is closed: RFC 6455 below 4000, the protocol from there on."""

    NORMAL = 1000
    GOING_AWAY = 1001
    ABNORMAL = 1006
    TRY_AGAIN_LATER = 1013
    INVALID_MESSAGE = 4400
    UNAUTHORIZED = 4401
    SUBPROTOCOL_NOT_ACCEPTABLE = 4406
    INITIALISATION_TIMEOUT = 4408
    SUBSCRIBER_ALREADY_EXISTS = 4409
    TOO_MANY_INITIALISATION_REQUESTS = 4429
    INTERNAL_SERVER_ERROR = 4500


@dataclass(eq=False)
class GraphQLSockets:
    """The WebSockets of one schema."""

    executor: Executor
    streams: OpenStreams
    init_seconds: float = INIT_SECONDS

    async def answer(self, request: web.Request, context: GraphQLContext) -> web.StreamResponse:
        """Upgrade a request to a WebSocket, and serve it until either side closes it."""
        refused = self.streams.refusal(request)
        if refused is not None:
            return refused
        socket = web.WebSocketResponse(
            protocols=(PROTOCOL,),
            heartbeat=_HEARTBEAT_SECONDS,
            max_msg_size=MAX_MESSAGE_BYTES,
            timeout=_CLOSE_SECONDS,
            # Messages are short. And the compressed length could tell a secret that stands beside
            # text of an attacker.
            compress=False,
        )
        try:
            await socket.prepare(request)
        except ValueError:
            unreadable = "the headers of the WebSocket cannot be read"
            answer = error_answer(400, "BAD_REQUEST", unreadable)
            answer.force_close()
            return answer
        connection = _Connection(socket, self.executor, context, self.streams, self.init_seconds)
        await self.streams.run(connection.run(session_seconds_left(request)))
        if socket.close_code == CloseCode.ABNORMAL and request.transport is not None:
            # The client does not read what is still to be sent.
            request.transport.abort()
        return socket


def is_upgrade(request: web.Request) -> bool:
    """Whether a client asks for a WebSocket."""
    return request.headers.get(hdrs.UPGRADE, "").lower() == "websocket"


class _Close(Exception):
    """The connection is to be closed."""

    def __init__(self, code: CloseCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


@dataclass(eq=False)
class _Connection:
    socket: web.WebSocketResponse
    executor: Executor
    context: GraphQLContext
    streams: OpenStreams
    init_seconds: float
    is_initialised: bool = field(default=False, init=False)
    operations: dict[str, asyncio.Task[None]] = field(default_factory=dict, init=False)

    async def run(self, seconds: float | None) -> None:
        end = _Close(CloseCode.GOING_AWAY, "the worker stops")
        try:
            if self.socket.ws_protocol != PROTOCOL:
                end = _Close(CloseCode.SUBPROTOCOL_NOT_ACCEPTABLE, "Subprotocol not acceptable")
            else:
                async with asyncio.timeout(seconds):
                    end = await self._talk()
        except TimeoutError:
            # Clients of this protocol do not connect again after this code.
            end = _Close(CloseCode.UNAUTHORIZED, "the session is over")
        finally:
            await self._close(end)

    async def _talk(self) -> _Close:
        """Listen and answer; returns how it ended."""
        ends: list[_Close] = []
        try:
            # One operation that must close the connection ends the listening, too.
            async with asyncio.TaskGroup() as operations:
                await self._listen(operations)
        except* _Close as group:
            ends.extend(end for end in group.exceptions if isinstance(end, _Close))
        except* Exception as group:
            reference = new_reference()
            logger.exception("a GraphQL WebSocket failed, reference %s", reference, exc_info=group)
            reason = f"Internal error, reference {reference}"
            ends.append(_Close(CloseCode.INTERNAL_SERVER_ERROR, reason))
        return ends[0]

    async def _close(self, end: _Close) -> None:
        reason = end.reason.encode()[:_MAX_REASON_BYTES].decode(errors="ignore").encode()
        with contextlib.suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self.socket.close(code=end.code, message=reason)

    # -- what comes

    async def _listen(self, operations: asyncio.TaskGroup) -> Never:
        loop = asyncio.get_running_loop()
        initialised_by = loop.time() + self.init_seconds
        while True:
            left = None if self.is_initialised else max(0.001, initialised_by - loop.time())
            message = await self._receive(left)
            match message["type"]:
                case "connection_init":
                    await self._initialise()
                case "ping":
                    payload = message.get("payload")
                    await self._send({"type": "pong"} | ({"payload": payload} if payload else {}))
                case "subscribe":
                    await self._subscribe(message["id"], message["payload"], operations)
                case "complete":
                    operation = self.operations.pop(message["id"], None)
                    if operation is not None:
                        operation.cancel()

    async def _receive(self, seconds: float | None) -> dict[str, Any]:
        try:
            received = await self.socket.receive(seconds)
        except TimeoutError:
            raise _Close(
                CloseCode.INITIALISATION_TIMEOUT, "Connection initialisation timeout"
            ) from None
        if received.type is WSMsgType.TEXT:
            return _read_message(received.data)
        if received.type is WSMsgType.BINARY:
            raise _Close(CloseCode.INVALID_MESSAGE, "messages are text")
        # The client closed it, has gone, or sent what is no WebSocket; aiohttp answered that.
        raise _Close(CloseCode.NORMAL, "")

    async def _initialise(self) -> None:
        if self.is_initialised:
            raise _Close(
                CloseCode.TOO_MANY_INITIALISATION_REQUESTS, "Too many initialisation requests"
            )
        self.is_initialised = True
        await self._send({"type": "connection_ack"})

    async def _subscribe(
        self, name: str, payload: dict[str, Any], operations: asyncio.TaskGroup
    ) -> None:
        if not self.is_initialised:
            raise _Close(CloseCode.UNAUTHORIZED, "Unauthorized")
        if name in self.operations:
            raise _Close(
                CloseCode.SUBSCRIBER_ALREADY_EXISTS, f"Subscriber for {name} already exists"
            )
        try:
            parameters = read_parameters(payload)
        except BadRequest as why:
            raise _Close(CloseCode.INVALID_MESSAGE, str(why)) from why
        if len(self.operations) >= MAX_OPERATIONS:
            message = f"a connection has at most {MAX_OPERATIONS} operations at once"
            await self._send_errors(name, [refusal("TOO_MANY_OPERATIONS", message)])
            return
        document = self.executor.read(parameters.query)
        if not isinstance(document, DocumentNode):
            await self._send_errors(name, document)
            return
        stands = asyncio.Event()
        task = operations.create_task(self._operate(name, document, parameters, stands))
        self.operations[name] = task

        def forget(_: object) -> None:
            stands.set()
            # By now the name may be another operation's.
            if self.operations.get(name) is task:
                del self.operations[name]

        task.add_done_callback(forget)
        # The client's next message, a ping or a mutation, must find the subscription active.
        await stands.wait()

    async def _operate(
        self, name: str, document: DocumentNode, parameters: Parameters, stands: asyncio.Event
    ) -> None:
        if operation_type(document, parameters) is OperationType.SUBSCRIPTION:
            await self._stream(name, document, parameters, stands)
            return
        stands.set()
        outcome = await self.executor.execute(document, parameters, self.context)
        if isinstance(outcome, list):
            await self._send_errors(name, outcome)
            return
        await self._send({"id": name, "type": "next", "payload": outcome})
        await self._send({"id": name, "type": "complete"})

    async def _stream(
        self, name: str, document: DocumentNode, parameters: Parameters, stands: asyncio.Event
    ) -> None:
        async with self.executor.subscribe(document, parameters, self.context) as answers:
            stands.set()
            if isinstance(answers, list):
                await self._send_errors(name, answers)
                return
            try:
                async for answer in answers:
                    await self._send({"id": name, "type": "next", "payload": answer})
            except SubscriberTooSlow as why:
                raise self._too_slow() from why

    # -- what goes

    async def _send_errors(self, name: str, errors: list[GraphQLError]) -> None:
        await self._send({"id": name, "type": "error", "payload": formatted(errors)})

    async def _send(self, message: dict[str, Any]) -> None:
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await self.socket.send_str(orjson.dumps(message).decode())
        except TimeoutError as why:
            raise self._too_slow() from why
        except ConnectionError as why:
            raise _Close(CloseCode.NORMAL, "") from why

    def _too_slow(self) -> _Close:
        self.streams.dropped()
        # The protocol has no code of its own; after this one its clients connect again.
        return _Close(CloseCode.TRY_AGAIN_LATER, "too slow: answers were not read")


def _read_message(text: str) -> dict[str, Any]:
    """A message of the protocol.

    Raises:
        _Close: if it is none.
    """
    try:
        message = orjson.loads(text)
    except orjson.JSONDecodeError:
        message = None
    if not isinstance(message, dict) or not _is_sound(message):
        raise _Close(CloseCode.INVALID_MESSAGE, "Invalid message received")
    return message


def _is_sound(message: dict[str, Any]) -> bool:
    match message:
        case {"type": "connection_init" | "ping" | "pong"}:
            return isinstance(message.get("payload"), dict | None)
        case {"type": "subscribe", "id": str(name), "payload": {}}:
            return 1 <= len(name) <= _MAX_ID_LENGTH
        case {"type": "complete", "id": str(name)}:
            return 1 <= len(name) <= _MAX_ID_LENGTH
    return False
