"""The fields of a filter that name a customer: they are normalised, and counted as look-ups."""

from aiohttp import web

from posstream.domain.identifier import Identifier
from posstream.domain.masking import is_personal
from web.console import lists
from web.console.typed_fields import TypedFields
from web.graphql.context import GraphQLContext


def read_identifier(asked: TypedFields, context: GraphQLContext) -> str | None:
    """The field `identifier`, as the lookup reads it."""
    text = asked.typed["identifier"]
    if not text:
        return None
    found = context.normalise(text)
    if isinstance(found, Identifier):
        return found.value
    asked.errors["identifier"] = f"No lookup has this identifier: {found.why}."
    return None


def may_ask(request: web.Request, asked: TypedFields, context: GraphQLContext, where: str) -> bool:
    """Whether the caller may try one more identifier, if the filter has one.

    Args:
        request: of the list.
        asked: its filter, with the fields `identifier` and `customer`.
        context: counts.
        where: the page or file, for the log.
    """
    tries = (
        bool(asked.typed["identifier"]) and "identifier" not in asked.errors,
        is_personal(asked.typed["customer"]),
    )
    return lists.may_ask(request, context, where, tries)
