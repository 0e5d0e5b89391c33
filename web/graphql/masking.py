"""Which fields of the schema hold identifiers: one table, applied in one place.

A viewer gets them masked; whoever may reveal gets them in full, and the answer is counted.
"""

import inspect
from collections.abc import Callable
from typing import Any, Final

from graphql import GraphQLField, GraphQLObjectType, GraphQLSchema, default_field_resolver

from posstream.domain.masking import is_personal
from web.graphql.context import GraphQLContext

#: Fields of any type that hold identifiers, or lists of them.
IDENTIFIERS: Final = frozenset(
    {"email", "phone", "identifier", "identifiers", "customerIdentifier"}
)
#: Fields that hold the directory's id of a customer: viewers get a phone or an e-mail address
#: sealed (see `references`), and can still ask for the customer by that reference.
CUSTOMER_IDS: Final = frozenset({"customerId"})
#: Fields that hold what the directory wrote: anything in it may be an identifier.
FOREIGN_DOCUMENTS: Final = frozenset({"responseData", "attributes"})
#: Fields that hold records of ours.
RECORDS: Final = frozenset({"raw"})


def mask_fields(schema: GraphQLSchema) -> None:
    """Make every field of the table show what the caller may see."""
    for kind in schema.type_map.values():
        if not isinstance(kind, GraphQLObjectType) or kind.name.startswith("__"):
            continue
        for name, field in kind.fields.items():
            if name in IDENTIFIERS:
                _wrap(field, _identifiers)
            elif name in CUSTOMER_IDS:
                _wrap(field, _customer_id)
            elif name in FOREIGN_DOCUMENTS:
                _wrap(field, lambda context, value: context.reveals.show_document(value))
            elif name in RECORDS:
                _wrap(field, lambda context, value: context.reveals.show_record(value))


def _wrap(field: GraphQLField, show: Callable[[GraphQLContext, Any], Any]) -> None:
    resolve = field.resolve or default_field_resolver

    def shown(source: Any, info: Any, **arguments: Any) -> Any:
        context: GraphQLContext = info.context
        found = resolve(source, info, **arguments)
        if inspect.isawaitable(found):

            async def later() -> Any:
                return show(context, await found)

            return later()
        return show(context, found)

    field.resolve = shown


def _customer_id(context: GraphQLContext, value: Any) -> Any:
    if value is None or not is_personal(str(value)):
        return value
    if context.reveals.in_full:
        return context.reveals.show(str(value))
    return context.references.of_customer(str(value))


def _identifiers(context: GraphQLContext, value: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, list | tuple):
        return [context.reveals.show(str(item)) for item in value]
    # An event of another writer may hold a number.
    return context.reveals.show(str(value))
