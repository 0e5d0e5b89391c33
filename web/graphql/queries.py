"""The queries: each one call of the read model."""

from collections.abc import Sequence
from typing import Any, Final

import graphene

from posstream.domain.identifier import Identifier, normalise
from posstream.ports import BasketRow, CustomerRow
from web.graphql.breaker import BreakerQuery
from web.graphql.configuration import ConfigurationQuery
from web.graphql.context import MAX_TEXT, GraphQLContext, is_sound, refusal
from web.graphql.types import Basket, Customer

#: Most customers in one answer; more pages is what `customers` will be for.
MAX_CUSTOMERS: Final = 1000


class Query(ConfigurationQuery, BreakerQuery, graphene.ObjectType):  # graphene is untyped
    """What posstream knows."""

    customer = graphene.Field(Customer, customer_id=graphene.ID(required=True))
    customer_by_identifier = graphene.Field(
        Customer,
        identifier=graphene.String(required=True),
        description="By phone, e-mail or card number, in any spelling.",
    )
    all_customers = graphene.List(
        graphene.NonNull(Customer),
        required=True,
        tier=graphene.String(),
        search=graphene.String(),
        limit=graphene.Int(default_value=100),
        description="Customers by customerId.",
    )
    basket = graphene.Field(Basket, basket_id=graphene.ID(required=True))

    @staticmethod
    async def resolve_customer(_root: None, info: Any, customer_id: str) -> CustomerRow | None:
        """One customer by id."""
        context: GraphQLContext = info.context
        # What cannot be an id is not asked for: databases differ in how they choke on it.
        return await context.read_model.customer(customer_id) if is_sound(customer_id) else None

    @staticmethod
    async def resolve_customer_by_identifier(
        _root: None, info: Any, identifier: str
    ) -> CustomerRow | None:
        """One customer by any known identifier; a refused one belongs to nobody."""
        context: GraphQLContext = info.context
        found = normalise(identifier, card_guard=context.card_guard)
        if not isinstance(found, Identifier):
            return None
        return await context.read_model.customer_by_identifier(found.value)

    @staticmethod
    async def resolve_all_customers(
        _root: None,
        info: Any,
        tier: str | None = None,
        search: str | None = None,
        limit: int | None = 100,
    ) -> Sequence[CustomerRow]:
        """Customers by id; an explicit null is the default."""
        context: GraphQLContext = info.context
        if limit is None:
            limit = 100
        if not 1 <= limit <= MAX_CUSTOMERS:
            raise refusal("BAD_USER_INPUT", f"limit must be from 1 to {MAX_CUSTOMERS}")
        for name, text in (("tier", tier), ("search", search)):
            if text and (len(text) > MAX_TEXT or not text.isprintable()):
                raise refusal(
                    "BAD_USER_INPUT", f"{name} must be at most {MAX_TEXT} printable characters"
                )
        return await context.read_model.all_customers(
            tier=tier or None, search=(search or "").strip() or None, limit=limit
        )

    @staticmethod
    async def resolve_basket(_root: None, info: Any, basket_id: str) -> BasketRow | None:
        """One basket by id."""
        context: GraphQLContext = info.context
        return await context.read_model.basket(basket_id) if is_sound(basket_id) else None
