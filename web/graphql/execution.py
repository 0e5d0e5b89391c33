"""One GraphQL operation, read and run: what HTTP, WebSocket and event streams have in common."""

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    OperationType,
    create_source_event_stream,
    execute,
    get_operation_ast,
)

from posstream.domain.payment_card import mask_payment_cards
from web.graphql.answer_size import check_answer_size
from web.graphql.context import GraphQLContext, refusal
from web.graphql.documents import Documents
from web.graphql.lean_execution import lean_execution
from web.graphql.request import Parameters
from web.graphql.schema import Schema
from web.http.answers import new_reference, unavailable

logger = logging.getLogger(__name__)

#: Seconds for one query. A till has given up long before.
QUERY_SECONDS: Final = 10.0
#: What graphql-core appends to a message, with names of the schema that look alike.
_SUGGESTION: Final = re.compile(r" Did you mean [^?]*\?$")

#: Why nothing was executed: the document, its variables or its operation name are wrong.
RequestErrors = list[GraphQLError]
#: What an operation answers, as the specification has it: `data` and maybe `errors`.
Answer = dict[str, Any]
T = TypeVar("T")
Outcome = TypeVar("Outcome", bound=Answer | RequestErrors)


@dataclass(eq=False)
class Executor:
    """Runs operations on one schema. The errors that it gives are those that a caller may see."""

    #: What can be asked.
    schema: Schema
    #: Whether it tells about the schema: in answers, and in the hints of errors.
    introspection: bool = True
    #: How long a query may take.
    query_seconds: float = QUERY_SECONDS

    def __post_init__(self) -> None:
        self._documents = Documents(self.schema, introspection=self.introspection)
        self._execution = lean_execution(self.schema.graphql)

    def read(self, query: str) -> DocumentNode | RequestErrors:
        """The document of a query text, or why it cannot be executed."""
        read = self._documents.read(query)
        return read if isinstance(read, DocumentNode) else self._without_hints(read)

    async def execute(
        self, document: DocumentNode, parameters: Parameters, context: GraphQLContext
    ) -> Answer | RequestErrors:
        """The answer of a query or a mutation."""
        operation = get_operation_ast(document, parameters.operation_name)
        if operation is not None:
            try:
                check_answer_size(
                    self.schema.graphql, document, operation, parameters.variables or {}
                )
            except GraphQLError as why:
                return [why]
        begun = self._begin(document, parameters, context)
        if isinstance(begun, ExecutionResult):  # nothing had to be waited for
            return self._without_hints(_judged(begun))
        if operation is None or operation.operation is not OperationType.QUERY:
            # No time limit: a mutation that is given up may have happened.
            return self._without_hints(_judged(await begun))
        result = await in_time(begun, self.query_seconds)
        if result is None:
            message = f"the query took longer than {self.query_seconds:g} s: ask for less"
            late = GraphQLError(message, extensions={"code": "TIMEOUT"})
            return {"data": None, "errors": formatted([late])}
        return self._without_hints(_judged(result))

    @asynccontextmanager
    async def subscribe(
        self, document: DocumentNode, parameters: Parameters, context: GraphQLContext
    ) -> AsyncIterator[AsyncIterator[Answer] | RequestErrors]:
        """Subscribe, and give the answers; the subscription is active within the context.

        As the specification's MapSourceToResponseEvent: each event is executed as a root value.
        """
        try:
            source = await create_source_event_stream(
                self.schema.graphql,
                document,
                context_value=context,
                variable_values=dict(parameters.variables or {}),
                operation_name=parameters.operation_name,
            )
        except RuntimeError as why:
            # graphql-core 3.2 takes the first field without looking whether there is one.
            if not isinstance(why.__cause__, StopIteration):
                raise
            yield [refusal("BAD_REQUEST", "the subscription's only field is skipped")]
            return
        if isinstance(source, ExecutionResult):
            # Whatever the error is, no stream began.
            yield self._without_hints([_with_code(_masked(error)) for error in source.errors or ()])
            return

        async def answers() -> AsyncGenerator[Answer, None]:
            async for event in source:
                begun = self._begin(document, parameters, context, event)
                yield _answer(begun if isinstance(begun, ExecutionResult) else await begun)

        try:
            async with aclosing(answers()) as stream:
                yield stream
        finally:
            await source.aclose()  # type: ignore[attr-defined] # graphql-core wants only __aiter__

    def _begin(
        self,
        document: DocumentNode,
        parameters: Parameters,
        context: GraphQLContext,
        root: object = None,
    ) -> ExecutionResult | Awaitable[ExecutionResult]:
        own = context.asked_by(context.caller)
        result = execute(
            self.schema.graphql,
            document,
            root,
            context_value=own,
            variable_values=dict(parameters.variables or {}),
            operation_name=parameters.operation_name,
            execution_context_class=self._execution,
        )

        def ended(result: ExecutionResult) -> ExecutionResult:
            label = _label(document, parameters)
            own.tried.log(label)
            own.reveals.log(label)
            return result

        if isinstance(result, ExecutionResult):
            return ended(result)
        waiting = result

        async def later() -> ExecutionResult:
            return ended(await waiting)

        return later()

    def _without_hints(self, outcome: Outcome) -> Outcome:
        """Errors of a request without names of the schema, if those are not to be told."""
        if not self.introspection and isinstance(outcome, list):
            for error in outcome:
                error.message = _SUGGESTION.sub("", error.message)
        return outcome


def operation_type(document: DocumentNode, parameters: Parameters) -> OperationType | None:
    """Whether a query, a mutation or a subscription is asked for; None if none of them is."""
    operation = get_operation_ast(document, parameters.operation_name)
    return None if operation is None else operation.operation


def _label(document: DocumentNode, parameters: Parameters) -> str:
    """An operation for the log: by its name, or by its kind where it has none."""
    operation = get_operation_ast(document, parameters.operation_name)
    if operation is None:
        return "GraphQL"
    kind = operation.operation.value
    return kind if operation.name is None else f"{kind} {operation.name.value}"


def formatted(errors: RequestErrors) -> list[Any]:
    """Errors as the specification writes them; they may say again what was sent."""
    return [{**error.formatted, "message": mask_payment_cards(error.message)} for error in errors]


def _judged(result: ExecutionResult) -> Answer | RequestErrors:
    errors = result.errors or ()
    if result.data is None and all(error.path is None for error in errors):
        # Nothing was executed: a wrong variable or an unknown operation name.
        return [_with_code(_masked(error)) for error in errors]
    return _answer(result)


def _answer(result: ExecutionResult) -> Answer:
    answer: Answer = {"data": result.data}
    if result.errors:
        answer["errors"] = formatted([_masked(error) for error in result.errors])
    return answer


def _with_code(error: GraphQLError) -> GraphQLError:
    error.extensions = error.extensions or {"code": "BAD_REQUEST"}
    return error


def _masked(error: GraphQLError) -> GraphQLError:
    """The error as a caller may see it: the text of an unexpected error stays in the log."""
    original = error.original_error
    if original is None or isinstance(original, GraphQLError):
        return error
    extensions: dict[str, Any]
    if told := unavailable("GraphQL", original):
        code, message = told
        extensions = {"code": code}
    else:
        message, reference = "Internal error", new_reference()
        extensions = {"code": "INTERNAL", "reference": reference}
        logger.error(
            "GraphQL failed at %s, reference %s",
            ".".join(map(str, error.path or ())),
            reference,
            exc_info=original,
        )
    return GraphQLError(message, nodes=error.nodes, path=error.path, extensions=extensions)


async def in_time(execution: Awaitable[T], seconds: float) -> T | None:
    """The result, or None if it was not there in time."""
    task = asyncio.ensure_future(execution)
    try:
        await asyncio.wait({task}, timeout=seconds)
        if task.done():
            return task.result()
    finally:
        # Cancelled, but not awaited: a statement of SQLite may run on for a while.
        if not task.done():
            task.add_done_callback(_note_exception)
            task.cancel()
    return None


def _note_exception(task: "asyncio.Future[T]") -> None:
    if not task.cancelled():
        task.exception()  # read, or asyncio logs it
