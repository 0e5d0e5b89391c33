"""One customer, and one basket. Lists, counts and timelines have their modules."""

from typing import Any

import graphene

from agents.customer_lookup.graphql.loaders import Loaders
from agents.customer_lookup.graphql.types import Basket, Customer
from agents.customer_lookup.lookup_ports import lookup_ports
from agents.customer_lookup.read_model.records import BasketRow, CustomerRow
from posstream.domain.identifier import Identifier
from web.graphql.context import (
    GraphQLContext,
    count_lookup,
    is_customer_id,
    is_sound,
    read_customer_id,
)


class CustomerQuery(graphene.ObjectType):  # graphene is untyped
    """The part of `Query` that finds one customer or one basket."""

    customer = graphene.Field(Customer, customer_id=graphene.ID(required=True))
    customer_by_identifier = graphene.Field(
        Customer,
        identifier=graphene.String(required=True),
        description="By phone, e-mail or card number, in any spelling.",
    )
    basket = graphene.Field(Basket, basket_id=graphene.ID(required=True))

    @staticmethod
    async def resolve_customer(_root: None, info: Any, customer_id: str) -> CustomerRow | None:
        """One customer by id."""
        context: GraphQLContext = info.context
        known = read_customer_id(context, customer_id, "customer")
        # What cannot be an id is not asked for: databases differ in how they choke on it.
        return await context.once(Loaders).customers.load(known) if is_customer_id(known) else None

    @staticmethod
    async def resolve_customer_by_identifier(
        _root: None, info: Any, identifier: str
    ) -> CustomerRow | None:
        """One customer by any known identifier; a refused one belongs to nobody."""
        context: GraphQLContext = info.context
        found = context.normalise(identifier)
        if not isinstance(found, Identifier):
            return None
        count_lookup(context, "customerByIdentifier")
        return await lookup_ports(context).read_model.customer_by_identifier(found.value)

    @staticmethod
    async def resolve_basket(_root: None, info: Any, basket_id: str) -> BasketRow | None:
        """One basket by id."""
        context: GraphQLContext = info.context
        return await context.once(Loaders).baskets.load(basket_id) if is_sound(basket_id) else None
