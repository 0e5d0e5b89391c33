"""GraphQL over Server-Sent Events, by the "distinct connections mode" of graphql-sse.

One operation is one HTTP request whose answer is an event stream: its results are `next` events,
and a `complete` event says that no more will come.
"""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Final

from aiohttp import web
from graphql import DocumentNode, OperationType

from posstream.domain.errors import SubscriberTooSlow
from web.graphql.context import GraphQLContext, refusal
from web.graphql.execution import Answer, Executor, RequestErrors, formatted, operation_type
from web.graphql.request import Parameters
from web.http.streams import EventStream, OpenStreams

#: How often a silent stream sends a sign of life: proxies cut silent connections (HTML standard,
#: 9.2.7), and only a write shows whether the client still reads.
KEEP_ALIVE_SECONDS: Final = 10.0
_COMMENT: Final = b":\n\n"
_COMPLETE: Final = b"event: complete\ndata: \n\n"


class GraphQLEventStreams:
    """The event streams of one schema."""

    def __init__(self, executor: Executor, streams: OpenStreams) -> None:
        self._executor = executor
        self._streams = streams

    async def answer(
        self,
        request: web.Request,
        document: DocumentNode | RequestErrors,
        parameters: Parameters,
        context: GraphQLContext,
    ) -> web.StreamResponse:
        """Answer with a stream. Errors of the document are in it, as the protocol wants them."""
        return await self._streams.answer(
            request, partial(self._operate, document, parameters, context)
        )

    async def _operate(
        self,
        document: DocumentNode | RequestErrors,
        parameters: Parameters,
        context: GraphQLContext,
        events: EventStream,
    ) -> None:
        if isinstance(document, list):
            await _only(events, document)
        elif operation_type(document, parameters) is not OperationType.SUBSCRIPTION:
            await _only(events, await self._executor.execute(document, parameters, context))
        else:
            async with self._executor.subscribe(document, parameters, context) as answers:
                if isinstance(answers, list):
                    await _only(events, answers)
                else:
                    await self._follow(events, answers)

    async def _follow(self, events: EventStream, answers: AsyncIterator[Answer]) -> None:
        # Once a client has the headers, it gets everything that is published from now on.
        await _begin(events)
        async with asyncio.TaskGroup() as group:
            alive = group.create_task(_keep_alive(events))
            try:
                async for answer in answers:
                    await events.send("next", answer)
            except SubscriberTooSlow as why:
                self._streams.dropped()
                told = formatted([refusal("TOO_SLOW", f"{why}: subscribe again")])
                await events.send("next", {"errors": told})
                await events.write(_COMPLETE)
            alive.cancel()


async def _begin(events: EventStream) -> None:
    await events.begin()
    await events.write(_COMMENT)


async def _only(events: EventStream, outcome: Answer | RequestErrors) -> None:
    """A stream of one result."""
    answer = {"errors": formatted(outcome)} if isinstance(outcome, list) else outcome
    await _begin(events)
    await events.send("next", answer)
    await events.write(_COMPLETE)


async def _keep_alive(events: EventStream) -> None:
    while True:
        await asyncio.sleep(KEEP_ALIVE_SECONDS)
        await events.write(_COMMENT)
