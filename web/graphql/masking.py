"""Which fields of the schema hold personal data, and how each is shown.

A viewer gets them masked. A role that may reveal gets them in full, and they are counted.
"""

import inspect
from collections.abc import Mapping
from typing import Any, Final

from graphql import GraphQLField, GraphQLObjectType, GraphQLSchema, default_field_resolver

from posstream.domain.masking import is_personal
from web.graphql.context import GraphQLContext
from web.graphql.part import Mask


def show_identifiers(context: GraphQLContext, value: Any) -> Any:
    """An identifier or a list of them."""
    if value is None:
        return None
    if isinstance(value, list | tuple):
        return [context.reveals.show(str(item)) for item in value]
    # An event of another writer may hold a number.
    return context.reveals.show(str(value))


def show_customer_id(context: GraphQLContext, value: Any) -> Any:
    """The directory's id of a customer, which may be a phone or an e-mail address.

    A viewer gets such an id sealed (see `references`), and can ask for the customer by the seal.
    """
    if value is None or not is_personal(str(value)):
        return value
    if context.reveals.in_full:
        return context.reveals.show(str(value))
    return context.references.of_customer(str(value))


def show_document(context: GraphQLContext, value: Any) -> Any:
    """A document that another system wrote: any value in it may be an identifier."""
    return context.reveals.show_document(value)


#: Fields that are masked in every type of every plugin: private by default.
MASKS: Final[Mapping[str, Mask]] = {
    "email": show_identifiers,
    "phone": show_identifiers,
    "identifier": show_identifiers,
    "identifiers": show_identifiers,
    "customerIdentifier": show_identifiers,
    "customerId": show_customer_id,
}


def mask_fields(schema: GraphQLSchema, masks: Mapping[str, Mask]) -> None:
    """Make every field that has a mask show what the caller may see."""
    for kind in schema.type_map.values():
        if isinstance(kind, GraphQLObjectType) and not kind.name.startswith("__"):
            for name, field in kind.fields.items():
                if name in masks:
                    _wrap(field, masks[name])


def _wrap(field: GraphQLField, show: Mask) -> None:
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
