"""GraphQL over HTTP on aiohttp: one request in, one answer out, with the specification's codes."""

import inspect
import logging
from typing import Any, Final

from aiohttp import web
from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    GraphQLSchema,
    OperationType,
    execute,
    get_operation_ast,
)

from web.graphql.context import GraphQLContext
from web.graphql.documents import Documents
from web.graphql.page import PAGE
from web.graphql.request import (
    MEDIA_JSON,
    MEDIA_RESPONSE,
    BadRequest,
    Parameters,
    answer_media_type,
    is_same_origin,
    read_body,
    read_query_string,
    wants_html,
)
from web.json_answer import json_answer
from web.middleware import new_reference

logger = logging.getLogger(__name__)

#: Largest body of a request; real ones are under 10 KB. The application is built with it.
MAX_BODY_BYTES: Final = 256 * 1024


class GraphQLView:
    """The endpoint of one schema."""

    def __init__(self, schema: GraphQLSchema, context: GraphQLContext) -> None:
        self._schema = schema
        self._context = context
        self._documents = Documents(schema)

    def routes(self) -> list[web.RouteDef]:
        """The endpoint, with and without its trailing slash."""
        return [
            route
            for path in ("/graphql/", "/graphql")
            for route in (
                web.get(path, self.get, allow_head=False),
                web.post(path, self.post),
            )
        ]

    async def get(self, request: web.Request) -> web.StreamResponse:
        """A query in the query string, or the page for people."""
        accept = _accept(request)
        if "query" not in request.query and wants_html(accept):
            return web.Response(text=PAGE, content_type="text/html")
        media_type = answer_media_type(accept)
        if media_type is None:
            return _not_acceptable()
        try:
            parameters = read_query_string(request.query)
        except BadRequest as why:
            return _refused(400, "BAD_REQUEST", str(why), media_type)
        return await self._answer(parameters, media_type, read_only=True)

    async def post(self, request: web.Request) -> web.StreamResponse:
        """A query or a mutation in a JSON body."""
        media_type = answer_media_type(_accept(request))
        if media_type is None:
            return _not_acceptable()
        if not is_same_origin(request.headers.get("Origin"), request.headers.get("Host")):
            return _refused(403, "FORBIDDEN", "the page is of another origin", media_type)
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
        except BadRequest as why:
            return _refused(400, "BAD_REQUEST", str(why), media_type)
        return await self._answer(parameters, media_type, read_only=False)

    async def _answer(
        self, parameters: Parameters, media_type: str, *, read_only: bool
    ) -> web.Response:
        document = self._documents.read(parameters.query)
        if not isinstance(document, DocumentNode):
            return _request_error(document, media_type)
        operation = get_operation_ast(document, parameters.operation_name)
        if read_only and operation is not None and operation.operation is not OperationType.QUERY:
            return _refused(
                405, "METHOD_NOT_ALLOWED", "GET is for queries only", media_type, allow="POST"
            )
        result = await self._execute(document, parameters)
        errors = [_masked(error) for error in result.errors or ()]
        if result.data is None and all(error.path is None for error in errors):
            # Nothing was executed: a wrong variable or an unknown operation name.
            for error in errors:
                error.extensions = error.extensions or {"code": "BAD_REQUEST"}
            return _request_error(errors, media_type)
        answer: dict[str, Any] = {"data": result.data}
        if errors:
            answer["errors"] = [error.formatted for error in errors]
        return json_answer(answer, media_type=media_type)

    async def _execute(self, document: DocumentNode, parameters: Parameters) -> ExecutionResult:
        result = execute(
            self._schema,
            document,
            context_value=self._context,
            variable_values=dict(parameters.variables or {}),
            operation_name=parameters.operation_name,
        )
        return await result if inspect.isawaitable(result) else result


def _masked(error: GraphQLError) -> GraphQLError:
    """The error as a caller may see it: what a resolver did not mean to say stays in the log."""
    original = error.original_error
    if original is None or isinstance(original, GraphQLError):
        return error
    reference = new_reference()
    logger.error(
        "GraphQL failed at %s, reference %s",
        ".".join(map(str, error.path or ())),
        reference,
        exc_info=original,
    )
    return GraphQLError(
        "Internal error",
        nodes=error.nodes,
        path=error.path,
        extensions={"code": "INTERNAL", "reference": reference},
    )


def _request_error(errors: list[GraphQLError], media_type: str) -> web.Response:
    # The older media type says 200 to whatever is a well-formed request (specification, 6.4).
    status = 400 if media_type == MEDIA_RESPONSE else 200
    document = {"errors": [error.formatted for error in errors]}
    return json_answer(document, status=status, media_type=media_type)


def _refused(
    status: int, code: str, message: str, media_type: str, *, allow: str | None = None
) -> web.Response:
    document = {"errors": [{"message": message, "extensions": {"code": code}}]}
    headers = None if allow is None else {"Allow": allow}
    return json_answer(document, status=status, headers=headers, media_type=media_type)


def _not_acceptable() -> web.Response:
    message = f"the answer can be {MEDIA_JSON} or {MEDIA_RESPONSE}"
    return _refused(406, "NOT_ACCEPTABLE", message, MEDIA_JSON)


def _accept(request: web.Request) -> str | None:
    # A client may send the header in pieces.
    return ",".join(request.headers.getall("Accept", [])) or None
