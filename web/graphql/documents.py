"""Query texts to documents that may be executed: parsed, weighed, validated, and remembered."""

from collections import OrderedDict
from typing import Final

from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLSyntaxError,
    NoSchemaIntrospectionCustomRule,
    parse,
    specified_rules,
    validate,
)

from web.graphql.limits import MAX_TOKENS, check_limits
from web.graphql.schema import Schema

#: Documents that are kept; clients have a handful each.
MAX_DOCUMENTS: Final = 256
#: A longer text is not kept: the cache must not become a store for strangers' text.
MAX_KEPT_LENGTH: Final = 16 * 1024
_MAX_ERRORS: Final = 10


class Documents:
    """The most recently used documents of one schema.

    Args:
        schema: what they are validated against.
        introspection: whether they may ask for the schema itself.
    """

    def __init__(self, schema: Schema, *, introspection: bool = True) -> None:
        self._schema = schema
        self._rules = (
            specified_rules
            if introspection
            else (*specified_rules, NoSchemaIntrospectionCustomRule)
        )
        self._kept: OrderedDict[str, DocumentNode] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def read(self, query: str) -> DocumentNode | list[GraphQLError]:
        """The document of a query text, or why it cannot be executed."""
        kept = self._kept.get(query)
        if kept is not None:
            self._kept.move_to_end(query)
            return kept
        read = self._read(query)
        if isinstance(read, DocumentNode) and len(query) <= MAX_KEPT_LENGTH:
            self._kept[query] = read
            if len(self._kept) > MAX_DOCUMENTS:
                self._kept.popitem(last=False)
        return read

    def _read(self, query: str) -> DocumentNode | list[GraphQLError]:
        try:
            document = parse(query, max_tokens=MAX_TOKENS)
            check_limits(document, self._schema.searches)
            errors = validate(self._schema.graphql, document, self._rules, max_errors=_MAX_ERRORS)
        except GraphQLSyntaxError as error:
            return [_with_code(error, "GRAPHQL_PARSE_FAILED")]
        except GraphQLError as error:
            # A limit has its code; a rule that raises, as the one of subscriptions, has none.
            return [error if error.extensions else _with_code(error, "GRAPHQL_VALIDATION_FAILED")]
        except RecursionError:
            # 2,000 tokens can nest deeper than Python's stack.
            return [_with_code(GraphQLError("the query is nested too deep"), "QUERY_TOO_COMPLEX")]
        return [_with_code(error, "GRAPHQL_VALIDATION_FAILED") for error in errors] or document


def _with_code(error: GraphQLError, code: str) -> GraphQLError:
    error.extensions = {**(error.extensions or {}), "code": code}
    return error
