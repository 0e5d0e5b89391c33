"""GraphQL over HTTP on aiohttp: one request in, one answer out, with the specification's codes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from aiohttp import web
from graphql import DocumentNode, OperationType

from posstream.tracing.context import HEADER, traceparent
from posstream.tracing.spans import Kind, Span
from posstream.tracing.starting import tracer
from web.access.guard import caller_of
from web.graphql.context import GraphQLContext
from web.graphql.execution import Executor, RequestErrors, formatted, operation_type
from web.graphql.graphiql import GraphiQL, plain_page
from web.graphql.request import (
    MEDIA_JSON,
    MEDIA_RESPONSE,
    Accepted,
    BadRequest,
    Parameters,
    accepted,
    read_body,
    read_query_string,
)
from web.graphql.sse import GraphQLEventStreams
from web.graphql.websocket import GraphQLSockets, is_upgrade
from web.http.answers import UNREADABLE_BODY, json_answer
from web.http.reading import MEDIA_STREAM, wants_html
from web.http.streams import OpenStreams

#: Largest body of a request; real ones are under 10 KB. The application is built with it.
MAX_BODY_BYTES: Final = 256 * 1024


@dataclass(eq=False)
class GraphQLView:
    """The endpoint of one schema; without `graphiql` a browser gets a plain page."""

    executor: Executor
    context: GraphQLContext
    streams: OpenStreams
    graphiql: GraphiQL | None
    #: Operations that the page starts with.
    examples: Sequence[str]

    def __post_init__(self) -> None:
        self._sockets = GraphQLSockets(self.executor, self.streams)
        self._event_streams = GraphQLEventStreams(self.executor, self.streams)

    def routes(self) -> list[web.RouteDef]:
        """The endpoint, with and without its trailing slash, and the files of its page."""
        files = [] if self.graphiql is None else self.graphiql.routes()
        return files + [
            route
            for path in ("/graphql/", "/graphql")
            for route in (
                web.get(path, self.get, allow_head=False),
                web.post(path, self.post),
            )
        ]

    async def get(self, request: web.Request) -> web.StreamResponse:
        """A query or subscription in the query string, a WebSocket, or the page for people."""
        if is_upgrade(request):
            return await self._sockets.answer(request, self.context.asked_by(caller_of(request)))
        accept = _accept(request)
        if "query" not in request.query and wants_html(accept):
            if self.graphiql is not None:
                return self.graphiql.page(self.examples)
            return web.Response(text=plain_page(self.examples), content_type="text/html")
        wanted = accepted(accept)
        if wanted is None:
            return _not_acceptable()
        try:
            parameters = read_query_string(request.query)
        except BadRequest as why:
            return _refused(400, "BAD_REQUEST", str(why), wanted.for_refusals)
        return await self._answer(request, parameters, wanted, read_only=True)

    async def post(self, request: web.Request) -> web.StreamResponse:
        """An operation in a JSON body."""
        wanted = accepted(_accept(request))
        if wanted is None:
            return _not_acceptable()
        media_type = wanted.for_refusals
        # Only this type makes a browser ask before it sends across origins (CORS preflight).
        charset = (request.charset or "utf-8").lower()
        if request.content_type != MEDIA_JSON or charset not in {"utf-8", "utf8"}:
            return _refused(
                415, "UNSUPPORTED_MEDIA_TYPE", f"send {MEDIA_JSON} in UTF-8", media_type
            )
        try:
            parameters = read_body(await request.read())
        except web.HTTPRequestEntityTooLarge:
            message = f"the body has more than {MAX_BODY_BYTES} bytes"
            return _refused(413, "TOO_LARGE", message, media_type)
        except web.RequestPayloadError:
            return _refused(400, "BAD_REQUEST", UNREADABLE_BODY, media_type)
        except BadRequest as why:
            return _refused(400, "BAD_REQUEST", str(why), media_type)
        return await self._answer(request, parameters, wanted, read_only=False)

    async def _answer(
        self, request: web.Request, parameters: Parameters, wanted: Accepted, *, read_only: bool
    ) -> web.StreamResponse:
        context = self.context.asked_by(caller_of(request))
        media_type = wanted.media_type
        document = self.executor.read(parameters.query)
        operation = (
            operation_type(document, parameters) if isinstance(document, DocumentNode) else None
        )
        if read_only and operation is OperationType.MUTATION:
            return _refused(
                405, "METHOD_NOT_ALLOWED", "GET changes nothing", wanted.for_refusals, allow="POST"
            )
        subscribes = operation is OperationType.SUBSCRIPTION
        if media_type is None or (subscribes and wanted.stream):
            return await self._event_streams.answer(request, document, parameters, context)
        if subscribes:
            message = f"a subscription needs Accept: {MEDIA_STREAM}, or a WebSocket"
            return _refused(406, "NOT_ACCEPTABLE", message, media_type)
        if not isinstance(document, DocumentNode):
            return _request_error(document, media_type)
        span = _traced(request, operation)
        try:
            answer = await self.executor.execute(
                document, parameters, context.within(span.traceparent)
            )
        except BaseException as why:
            span.end(failed=type(why).__name__)
            raise
        if isinstance(answer, list):
            span.end(failed="BAD_REQUEST")
            return _request_error(answer, media_type)
        span.end(failed="errors" if "errors" in answer else None)
        return json_answer(answer, media_type=media_type)


def _traced(request: web.Request, operation: OperationType | None) -> Span:
    """Begin the span of an operation (OpenTelemetry semantic conventions, GraphQL server).

    Without its name: a client may write anything there.
    """
    texts = request.headers.getall(HEADER, [])[:1]
    sent = [(HEADER, text.encode(errors="replace")) for text in texts]  # it may not be UTF-8
    kind = "query" if operation is None else operation.value
    about = {"graphql.operation.type": kind}
    return tracer().span(f"GraphQL {kind}", Kind.SERVER, traceparent(sent), about)


def _request_error(errors: RequestErrors, media_type: str) -> web.Response:
    # With the older media type every well-formed request is answered 200 (specification, 6.4).
    status = 400 if media_type == MEDIA_RESPONSE else 200
    document = {"errors": formatted(errors)}
    return json_answer(document, status=status, media_type=media_type)


def _refused(
    status: int, code: str, message: str, media_type: str, *, allow: str | None = None
) -> web.Response:
    document = {"errors": [{"message": message, "extensions": {"code": code}}]}
    headers = None if allow is None else {"Allow": allow}
    return json_answer(document, status=status, headers=headers, media_type=media_type)


def _not_acceptable() -> web.Response:
    message = f"the answer can be {MEDIA_JSON}, {MEDIA_RESPONSE} or {MEDIA_STREAM}"
    return _refused(406, "NOT_ACCEPTABLE", message, MEDIA_JSON)


def _accept(request: web.Request) -> str | None:
    # A client may send the header in pieces.
    return ",".join(request.headers.getall("Accept", [])) or None
