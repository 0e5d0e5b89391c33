"""The mutations: each writes one event. `success` means that the broker acknowledged it."""

from typing import TYPE_CHECKING, Any

import graphene

from agents.customer_lookup.cache_commands import InvalidEviction, eviction
from agents.customer_lookup.events.commands import commanded
from agents.customer_lookup.graphql.types import IdentifierKind
from agents.customer_lookup.lookup_ports import lookup_ports
from agents.customer_lookup.till import (
    Outcome,
    identify_customer,
    refused,
    start_basket,
    unacknowledged,
)
from posstream.domain.errors import PublishFailed
from posstream.domain.identifier import IdentifierKind as Kind
from web.graphql.types import MutationError

if TYPE_CHECKING:
    from web.graphql.context import GraphQLContext


class StartBasket(graphene.Mutation):  # graphene is untyped
    """Start a basket at a till."""

    class Arguments:
        """Who starts it, and where."""

        employee_id = graphene.Int(required=True)
        terminal_id = graphene.String(required=True)
        customer_identifier = graphene.String(
            description="Noted with the basket; `identifyCustomer` looks it up."
        )

    success = graphene.Boolean(required=True)
    basket_id = graphene.String()
    event_id = graphene.String()
    error = graphene.Field(MutationError)

    @staticmethod
    async def mutate(
        _root: None,
        info: Any,
        employee_id: int,
        terminal_id: str,
        customer_identifier: str | None = None,
    ) -> Outcome:
        """Write `basket-started` under a new basket id."""
        return await start_basket(info.context, employee_id, terminal_id, customer_identifier)


class IdentifyCustomer(graphene.Mutation):  # graphene is untyped
    """Say which customer a basket belongs to. The basket may be one not seen yet."""

    class Arguments:
        """The basket and what was scanned."""

        basket_id = graphene.String(required=True)
        customer_identifier = graphene.String(required=True)
        identifier_kind = IdentifierKind(
            description="The identifier's kind; without it, the identifier is read by its syntax."
        )

    success = graphene.Boolean(required=True)
    event_id = graphene.String()
    error = graphene.Field(MutationError)

    @staticmethod
    async def mutate(
        _root: None,
        info: Any,
        basket_id: str,
        customer_identifier: str,
        identifier_kind: Any = None,
    ) -> Outcome:
        """Write `customer-identified` with the normalised identifier."""
        kind = None if identifier_kind is None else Kind(identifier_kind.value)
        return await identify_customer(info.context, basket_id, customer_identifier, kind)


class EvictCustomer(graphene.Mutation):  # graphene is untyped
    """Remove customers from the cache: one, those whose identifiers start alike, or all."""

    class Arguments:
        """Exactly one of them."""

        identifier = graphene.String(description="In any spelling.")
        prefix = graphene.String(description="The start of normalised identifiers.")
        all = graphene.Boolean()

    success = graphene.Boolean(required=True)
    error = graphene.Field(MutationError)

    @staticmethod
    async def mutate(
        _root: None,
        info: Any,
        identifier: str | None = None,
        prefix: str | None = None,
        all: bool | None = None,  # noqa: A002, FBT001 - the schema's name
    ) -> Outcome:
        """Write the cache command; the workers that have the entries remove them."""
        context: GraphQLContext = info.context
        command = eviction(
            identifier=identifier,
            prefix=prefix,
            everything=bool(all),
            card_guard=context.card_guard,
            country_code=context.country_code,
        )
        if isinstance(command, InvalidEviction):
            return refused(command.code, command.why)
        try:
            for record in commanded(command, context.partitions):
                await lookup_ports(context).publisher.publish(record)
        except PublishFailed:
            return unacknowledged()
        return Outcome(success=True)
