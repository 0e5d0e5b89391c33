"""The scalar `JSONString`: JSON as a text."""

import json
from typing import Any

import graphene
from graphql import GraphQLError, StringValueNode

from posstream.json.writing import write_json


class JSONString(graphene.JSONString):  # graphene is untyped
    """JSON as a text. Numbers in what the directory wrote are as the directory wrote them.

    Half of a surrogate pair, which no UTF-8 can hold, is no JSON here: it could not be answered
    or published.
    """

    @staticmethod
    def serialize(document: Any) -> str:
        """A document as text."""
        try:
            return str(graphene.JSONString.serialize(document))
        except TypeError:  # a number that Python's own library cannot write
            return write_json(document).decode()

    @staticmethod
    def parse_literal(node: Any, _variables: Any = None) -> Any:
        """The value of a literal in a query."""
        if not isinstance(node, StringValueNode):
            raise GraphQLError("JSONString must be a text that holds JSON", nodes=node)
        return JSONString.parse_value(node.value)

    @staticmethod
    def parse_value(value: Any) -> Any:
        """The value of a variable."""
        if not isinstance(value, str):
            raise GraphQLError("JSONString must be a text that holds JSON")
        try:
            document = json.loads(value)
            json.dumps(document, ensure_ascii=False).encode()
        except (ValueError, RecursionError):
            raise GraphQLError("JSONString holds no JSON") from None
        return document
