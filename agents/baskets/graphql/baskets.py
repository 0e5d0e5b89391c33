"""What happened in a basket: fields of the shared type `Basket`, and the list of baskets."""

from collections.abc import Callable
from functools import cached_property
from typing import Any, Final

import graphene
from aiodataloader import DataLoader

from agents.baskets import basket
from agents.baskets.basket_ports import basket_ports
from agents.baskets.read_model.records import BasketFilter, TillBasket
from agents.baskets.timeline import Happened, happened, money
from posstream.domain.times import iso_utc
from web.graphql.connections import (
    PageInfo,
    connection_arguments,
    page,
    page_size,
    place_cursor,
    read_place,
)
from web.graphql.context import GraphQLContext, is_sound
from web.graphql.filters import given_texts, read_customer, read_id, read_moment
from web.graphql.types import ContractType, JSONString, type_named

LISTED: Final = "baskets"
#: Keys in one statement.
_MAX_BATCH: Final = 500
_MONEY: Final = "A decimal with two to four places."
_STATUSES: Final = {
    basket.Status.OPEN: "Items may be scanned.",
    basket.Status.FINALIZED: "Nothing more is scanned, and it is not paid in full.",
    basket.Status.PAID: "The payments cover the total.",
    basket.Status.VOIDED: "It was given up.",
}
Status = graphene.Enum(
    "BasketStatus",
    [(status.name, status.value) for status in basket.Status],
    description=lambda it: _STATUSES[basket.Status(it.value)] if it else "How far a basket is.",
)
#: Keys of the fields of an event that hold identifiers.
_NAMING: Final = frozenset({"customer_identifier"})


class BasketLoader:
    """The baskets of one request, read together: `context.once(BasketLoader)`."""

    def __init__(self, context: GraphQLContext) -> None:
        self._baskets = basket_ports(context).baskets

    @cached_property
    def baskets(self) -> "DataLoader[str, TillBasket | None]":
        """By id; None where no till event was seen."""

        async def batch(ids: list[str]) -> list[TillBasket | None]:
            rows = await self._baskets.by_ids(ids)
            return [rows.get(one) for one in ids]

        return DataLoader(batch, max_batch_size=_MAX_BATCH)


class BasketItem(ContractType):  # graphene is untyped
    """One line of a basket."""

    item_id = graphene.ID(required=True)
    product_id = graphene.ID(required=True)
    product_name = graphene.String()
    category = graphene.String()
    unit_price = graphene.String(required=True, description=_MONEY)
    quantity = graphene.String(required=True, description="A decimal; a weight has places.")
    discount = graphene.String(required=True, description=_MONEY)
    total = graphene.String(required=True, description=_MONEY)


class BasketPayment(ContractType):  # graphene is untyped
    """One payment."""

    payment_id = graphene.ID(required=True)
    amount = graphene.String(required=True, description=_MONEY)
    currency = graphene.String()
    method = graphene.String()
    paid_at = graphene.String(required=True, description="ISO-8601, UTC.")


class BasketRefund(ContractType):  # graphene is untyped
    """Money that was given back."""

    refund_id = graphene.ID(required=True)
    payment_id = graphene.ID()
    amount = graphene.String(required=True, description=_MONEY)
    method = graphene.String()
    refunded_at = graphene.String(required=True, description="ISO-8601, UTC.")


class BasketEvent(ContractType):  # graphene is untyped
    """One event of a basket."""

    event_id = graphene.ID(required=True)
    event_type = graphene.String(required=True)
    occurred_at = graphene.String(required=True, description="ISO-8601, UTC, by the till's clock.")
    fields = JSONString(required=True, description="What it says, by the names on the topic.")

    @staticmethod
    def resolve_fields(it: Happened, info: Any) -> Any:
        """As the caller may see them."""
        return info.context.reveals.show_document(it.fields, names=_NAMING)


async def find_basket(_root: None, info: Any, basket_id: str) -> TillBasket | None:
    """A basket of which no lookup knows, by its id."""
    context: GraphQLContext = info.context
    found: TillBasket | None = None
    if is_sound(basket_id):
        found = await context.once(BasketLoader).baskets.load(basket_id)
    return found


def _listed(kind: Any) -> Any:
    return graphene.List(graphene.NonNull(kind))


def _field(kind: Any, read: Callable[[TillBasket], Any], description: str | None = None) -> Any:
    """A field of `Basket`; null while no event of the basket was seen."""

    async def resolve(row: Any, info: Any) -> Any:
        if isinstance(row, TillBasket):
            return read(row)
        context: GraphQLContext = info.context
        found = await context.once(BasketLoader).baskets.load(row.basket_id)
        return None if found is None else read(found)

    return graphene.Field(kind, resolver=resolve, description=description)


def basket_fields() -> dict[str, Any]:
    """The fields that `Basket` gains. They are graphene's, so each schema has its own."""
    return {
        "status": _field(Status, lambda row: row.status),
        "revision": _field(graphene.Int, lambda row: row.revision, "How many events are known."),
        "items": _field(_listed(BasketItem), lambda row: row.items),
        "subtotal": _field(graphene.String, lambda row: money(row.subtotal), _MONEY),
        "discount": _field(graphene.String, lambda row: money(row.discount), _MONEY),
        "total": _field(graphene.String, lambda row: money(row.total), _MONEY),
        "paid": _field(graphene.String, lambda row: money(row.paid), _MONEY),
        "refunded": _field(graphene.String, lambda row: money(row.refunded), _MONEY),
        "currency": _field(graphene.String, lambda row: row.currency),
        "completed_at": _field(graphene.String, lambda row: iso_utc(row.completed_at), "ISO-8601."),
        "payments": _field(_listed(BasketPayment), lambda row: row.payments),
        "refunds": _field(_listed(BasketRefund), lambda row: row.refunds),
        "events": _field(_listed(BasketEvent), happened, "In the order in which they count."),
    }


class BasketEdge(graphene.ObjectType):  # graphene is untyped
    """A basket in a list."""

    node = graphene.Field(type_named("Basket"), required=True)
    cursor = graphene.String(required=True)


class BasketConnection(graphene.ObjectType):  # graphene is untyped
    """A page of baskets."""

    edges = graphene.List(graphene.NonNull(BasketEdge), required=True)
    page_info = graphene.Field(PageInfo, required=True)


class BasketsQuery(graphene.ObjectType):  # graphene is untyped
    """The part of `Query` that lists baskets."""

    baskets = graphene.Field(
        BasketConnection,
        required=True,
        **connection_arguments(),
        status=Status(),
        terminal_id=graphene.String(),
        employee_id=graphene.String(),
        customer_id=graphene.ID(),
        **{
            "from": graphene.String(description="Started then or later: ISO-8601."),
            "to": graphene.String(description="Started before: ISO-8601."),
        },
        description="The baskets of which a till event was seen, newest first, page by page.",
    )

    @staticmethod
    async def resolve_baskets(
        _root: None,
        info: Any,
        *,
        first: int | None = None,
        after: str | None = None,
        status: Any = None,
        **texts: str | None,
    ) -> dict[str, object]:
        """A page of baskets; a blank filter filters nothing."""
        context: GraphQLContext = info.context
        size = page_size(first)
        given = given_texts(texts)
        wanted = BasketFilter(
            status=None if status is None else basket.Status(status.value),
            terminal_id=read_id(given, "terminal_id", "terminalId"),
            employee_id=read_id(given, "employee_id", "employeeId"),
            customer_id=read_customer(context, given, LISTED),
            since=read_moment(given, "from"),
            until=read_moment(given, "to"),
        )
        rows = await basket_ports(context).baskets.listed(
            wanted,
            first=size + 1,
            after=None if after is None else read_place(LISTED, after),
        )
        return page(
            rows,
            first=size,
            after=after,
            cursor=lambda row: place_cursor(LISTED, row.started_at, row.basket_id),
        )
