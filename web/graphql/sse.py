"""GraphQL over Server-Sent Events, by the "distinct connections mode" of graphql-sse.

One operation is one HTTP request whose answer is an event stream (HTML standard, 9.2): its results
are `next` events, and a `complete` event says that no more will come.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any, Final

import orjson
from aiohttp import hdrs, web
from graphql import DocumentNode, OperationType

from posstream.domain.errors import SubscriberTooSlow
from web.access.guard import other_origin, session_seconds_left
from web.graphql.context import GraphQLContext, refusal
from web.graphql.execution import Answer, Executor, RequestErrors, formatted, operation_type
from web.graphql.request import Parameters
from web.graphql.streams import SEND_SECONDS, OpenStreams
from web.http.headers import MEDIA_STREAM
from web.http.json_answer import error_answer
from web.http.middleware import new_reference

logger = logging.getLogger(__name__)

#: How often a silent stream says that it is there: proxies cut off what says nothing (HTML
#: standard, 9.2.7), and only who writes sees that nobody reads.
KEEP_ALIVE_SECONDS: Final = 10.0
_COMMENT: Final = b":\n\n"
_COMPLETE: Final = b"event: complete\ndata: \n\n"
_HEADERS: Final = {
    hdrs.CONTENT_TYPE: f"{MEDIA_STREAM}; charset=utf-8",
    # Nginx would keep the events until it has some kilobytes.
    "X-Accel-Buffering": "no",
}


class GraphQLEventStreams:
    """The event streams of one schema."""

    def __init__(
        self,
        executor: Executor,
        streams: OpenStreams,
        *,
        keep_alive_seconds: float = KEEP_ALIVE_SECONDS,
    ) -> None:
        self._executor = executor
        self._streams = streams
        self._keep_alive_seconds = keep_alive_seconds

    async def answer(
        self,
        request: web.Request,
        document: DocumentNode | RequestErrors,
        parameters: Parameters,
        context: GraphQLContext,
    ) -> web.StreamResponse:
        """Answer with a stream. Errors of the document are in it, as the protocol wants them."""
        # A GET with our cookies may come from any page; it cannot read it, but hold it open.
        refused = other_origin(request)
        if refused is not None:
            return refused
        if self._streams.are_enough:
            return error_answer(503, "TOO_MANY_STREAMS", "try again later")
        response = web.StreamResponse(headers=_HEADERS)
        ended = await self._streams.run(
            self._run(request, response, document, parameters, context),
            seconds=session_seconds_left(request),
        )
        if not ended:
            # Without `complete`: the client is to come back.
            if not response.prepared:
                return error_answer(503, "STOPPING", "the worker stops")
            _cut(request)
        return response

    async def _run(
        self,
        request: web.Request,
        response: web.StreamResponse,
        document: DocumentNode | RequestErrors,
        parameters: Parameters,
        context: GraphQLContext,
    ) -> None:
        events = _Events(request, response)
        try:
            await self._operate(events, document, parameters, context)
        except* TimeoutError:
            self._streams.dropped()
            _cut(request)
        except* ConnectionError:
            pass  # the client has gone
        except* Exception as group:
            if not response.prepared:
                raise
            reference = new_reference()
            logger.exception(
                "a GraphQL event stream failed, reference %s", reference, exc_info=group
            )
            _cut(request)

    async def _operate(
        self,
        events: "_Events",
        document: DocumentNode | RequestErrors,
        parameters: Parameters,
        context: GraphQLContext,
    ) -> None:
        if isinstance(document, list):
            await events.only(_with_errors(document))
        elif operation_type(document, parameters) is not OperationType.SUBSCRIPTION:
            outcome = await self._executor.execute(document, parameters, context)
            await events.only(outcome if isinstance(outcome, dict) else _with_errors(outcome))
        else:
            async with self._executor.subscribe(document, parameters, context) as answers:
                if isinstance(answers, list):
                    await events.only(_with_errors(answers))
                else:
                    await self._stream(events, answers)

    async def _stream(self, events: "_Events", answers: AsyncIterator[Answer]) -> None:
        # Whoever has the headers may rely on it: what is published now will come.
        await events.begin()
        async with asyncio.TaskGroup() as group:
            alive = group.create_task(self._keep_alive(events))
            try:
                async for answer in answers:
                    await events.next(answer)
            except SubscriberTooSlow as why:
                self._streams.dropped()
                await events.next(_with_errors([refusal("TOO_SLOW", f"{why}: subscribe again")]))
                await events.complete()
            alive.cancel()

    async def _keep_alive(self, events: "_Events") -> None:
        while True:
            await asyncio.sleep(self._keep_alive_seconds)
            await events.comment()


class _Events:
    """One event stream, written."""

    def __init__(self, request: web.Request, response: web.StreamResponse) -> None:
        self._request = request
        self._response = response

    async def begin(self) -> None:
        await self._response.prepare(self._request)
        await self.comment()

    async def only(self, answer: Answer) -> None:
        await self.begin()
        await self.next(answer)
        await self.complete()

    async def next(self, answer: Answer) -> None:
        # JSON has no line breaks, so one `data` holds it.
        await self._write(b"event: next\ndata: " + orjson.dumps(answer) + b"\n\n")

    async def complete(self) -> None:
        await self._write(_COMPLETE)

    async def comment(self) -> None:
        await self._write(_COMMENT)

    async def _write(self, data: bytes) -> None:
        async with asyncio.timeout(SEND_SECONDS):
            await self._response.write(data)


def _cut(request: web.Request) -> None:
    """End a stream without another word, even if nobody reads it."""
    if request.transport is not None:
        request.transport.abort()


def _with_errors(errors: RequestErrors) -> dict[str, Any]:
    return {"errors": formatted(errors)}
