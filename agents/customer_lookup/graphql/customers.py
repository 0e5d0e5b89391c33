"""One customer or one basket, and the lists of customers: all at once, or page by page."""

from collections.abc import Sequence
from typing import Any, Final

import graphene

from agents.customer_lookup.graphql.types import Basket, Customer, Loaders
from agents.customer_lookup.lookup_ports import lookup_ports
from agents.customer_lookup.read_model.records import BasketRow, CustomerRow
from posstream.domain.identifier import Identifier
from web.graphql.connections import (
    PageInfo,
    connection_arguments,
    cursor_of,
    page,
    page_size,
    read_cursor,
)
from web.graphql.context import (
    MAX_TEXT,
    GraphQLContext,
    count_lookup,
    is_customer_id,
    is_sound,
    read_customer_id,
    refusal,
)

#: Most customers in one answer of `allCustomers`; `customers` gives more, page by page.
MAX_CUSTOMERS: Final = 1000
_LISTED: Final = "customers"
_TIER: Final = "Exactly this tier."
_SEARCH: Final = (
    "Part of a name, e-mail, phone or identifier, in any writing; for viewers of a name alone."
)


class CustomerEdge(graphene.ObjectType):  # graphene is untyped
    """A customer in a list."""

    node = graphene.Field(Customer, required=True)
    cursor = graphene.String(required=True)


class CustomerConnection(graphene.ObjectType):  # graphene is untyped
    """A page of customers."""

    edges = graphene.List(graphene.NonNull(CustomerEdge), required=True)
    page_info = graphene.Field(PageInfo, required=True)


class CustomerQuery(graphene.ObjectType):  # graphene is untyped
    """The part of `Query` that finds one customer or one basket, and lists customers."""

    all_customers = graphene.List(
        graphene.NonNull(Customer),
        required=True,
        tier=graphene.String(description=_TIER),
        search=graphene.String(description=_SEARCH),
        limit=graphene.Int(default_value=100, description=f"1 to {MAX_CUSTOMERS}."),
        description="Customers by customerId.",
    )
    customers = graphene.Field(
        CustomerConnection,
        required=True,
        **connection_arguments(),
        tier=graphene.String(description=_TIER),
        search=graphene.String(description=_SEARCH),
        description="Customers by customerId, page by page.",
    )
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
        return await lookup_ports(context).read_model.next_customers(
            first=limit,
            tier=_filter("tier", tier),
            search=_search(context, search),
            names_only=not context.reveals.in_full,
            identifiers=may_ask_for_identifiers(info),
        )

    @staticmethod
    async def resolve_customers(
        _root: None,
        info: Any,
        *,
        first: int | None = None,
        after: str | None = None,
        tier: str | None = None,
        search: str | None = None,
    ) -> dict[str, object]:
        """A page of customers by id."""
        context: GraphQLContext = info.context
        size = page_size(first)
        last = (
            None
            if after is None
            else read_customer_id(context, read_cursor(_LISTED, after, length=1)[0], _LISTED)
        )
        rows = await lookup_ports(context).read_model.next_customers(
            first=size + 1,
            after=last,
            tier=_filter("tier", tier),
            search=_search(context, search),
            names_only=not context.reveals.in_full,
            identifiers=may_ask_for_identifiers(info),
        )
        return page(
            rows,
            first=size,
            after=after,
            cursor=lambda row: cursor_of(_LISTED, context.references.of_customer(row.customer_id)),
        )


def may_ask_for_identifiers(info: Any) -> bool:
    """Whether the document has the name of the field: one that has not cannot ask for it."""
    place = info.operation.loc
    return place is None or "identifiers" in place.source.body


def _search(context: GraphQLContext, search: str | None) -> str | None:
    """What is searched for. A viewer's search reads names alone, and tries no identifier."""
    text = _filter("search", search)
    if text is not None and context.reveals.in_full:
        count_lookup(context, "search")
    return text


def _filter(name: str, text: str | None) -> str | None:
    """The text of a filter; a blank one filters nothing."""
    if text and (len(text) > MAX_TEXT or not text.isprintable()):
        raise refusal("BAD_USER_INPUT", f"{name} must be at most {MAX_TEXT} printable characters")
    return (text or "").strip() or None
