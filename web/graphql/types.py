"""Types that the GraphQL schemas of all plugins share, and how their fields are resolved."""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

import graphene
from graphene.types.resolver import dict_or_attr_resolver
from graphql import GraphQLError, StringValueNode, get_named_type

from posstream.domain.times import iso_utc
from posstream.json.writing import write_json
from web.graphql.context import refusal

#: GraphQL's Int has 32 bits; the read model has 64.
_MAX_INT: Final = 2**31 - 1
_MIN_INT: Final = -(2**31)


class ContractType(graphene.ObjectType):  # graphene is untyped
    """An object type that writes values as the contract does.

    A time is ISO-8601 in UTC. A number that does not fit in GraphQL's Int is an error that names
    the field; graphene would answer null.
    """

    class Meta:
        """Not a type of the schema itself."""

        abstract = True

    @classmethod
    def __init_subclass_with_meta__(cls, **options: Any) -> None:
        """Make `_written` the resolver of every field that has none of its own."""
        super().__init_subclass_with_meta__(default_resolver=_written, **options)


class MutationError(graphene.ObjectType):  # graphene is untyped
    """Why a mutation was refused."""

    code = graphene.String(required=True)
    message = graphene.String(required=True)


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


def type_named(name: str) -> Callable[[], Any]:
    """Finds a type that another plugin brings, for a field: `graphene.Field(type_named(NAME))`.

    It is looked for when the schema is made. Without that plugin the part cannot be made.
    """

    def found() -> Any:
        for kind in ContractType.__subclasses__():
            if kind._meta.name == name:  # noqa: SLF001 - graphene has no other name
                return kind
        raise LookupError(f"no plugin brings the type {name}")

    return found


def whole(name: str, number: int) -> int:
    """A number, if GraphQL's Int can hold it; else an error that names the field."""
    if not _MIN_INT <= number <= _MAX_INT:
        raise refusal("OUT_OF_RANGE", f"{name} does not fit in 32 bits")
    return number


def _written(name: str, default: Any, root: Any, info: Any, **_: Any) -> Any:
    value = dict_or_attr_resolver(name, default, root, info)
    if isinstance(value, datetime):
        return iso_utc(value)
    if isinstance(value, int) and get_named_type(info.return_type).name == "Int":
        return whole(info.field_name, value)
    return value
