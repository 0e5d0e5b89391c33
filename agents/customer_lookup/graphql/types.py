"""The types of customers and baskets, and what the resolvers of one request read together."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import cached_property
from typing import Any, Final, TypeVar

import graphene
from aiodataloader import DataLoader

from agents.customer_lookup.lookup_ports import lookup_ports
from agents.customer_lookup.read_model.records import BasketRow, CustomerRow
from posstream.domain.identifier import IdentifierKind as Kind
from web.graphql.context import GraphQLContext
from web.graphql.types import ContractType

#: Keys in one statement; SQLite takes 32,766 parameters, and nobody asks for so many.
MAX_BATCH: Final = 500

Row = TypeVar("Row")


class Loaders:
    """The loaders of one request: `context.once(Loaders)`. One that is not used costs nothing."""

    def __init__(self, context: GraphQLContext) -> None:
        self._read_model = lookup_ports(context).read_model

    @cached_property
    def customers(self) -> DataLoader[str, CustomerRow | None]:
        """Customers with their identifiers, by id; None where there is none."""
        return _loader(self._read_model.customers_by_ids)

    @cached_property
    def baskets(self) -> DataLoader[str, BasketRow | None]:
        """Baskets by id; None where nothing was seen."""
        return _loader(self._read_model.baskets_by_ids)


def _loader(
    read: Callable[[Iterable[str]], Awaitable[Mapping[str, Row]]],
) -> DataLoader[str, Row | None]:
    async def batch(ids: list[str]) -> list[Row | None]:
        rows = await read(ids)
        return [rows.get(one) for one in ids]

    return DataLoader(batch, max_batch_size=MAX_BATCH)


IdentifierKind = graphene.Enum(
    "IdentifierKind",
    [(kind.name, kind.value) for kind in Kind],
    description=lambda _: "The kind of a scanned identifier.",
)


class Customer(ContractType):  # graphene is untyped
    """A customer as the directory last described one."""

    customer_id = graphene.ID(required=True)
    identifiers = graphene.List(
        graphene.NonNull(graphene.String),
        required=True,
        description="Every identifier that ever led to this customer.",
    )
    first_name = graphene.String(required=True)
    last_name = graphene.String(required=True)
    email = graphene.String(required=True)
    phone = graphene.String(required=True)
    loyalty_points = graphene.Int(description="Null with an error beyond 32 bits.")
    tier = graphene.String(required=True)
    total_purchases = graphene.String(required=True, description="Money with two places.")
    last_purchase_date = graphene.String(description="ISO-8601, UTC.")
    created_at = graphene.String(required=True, description="ISO-8601, UTC.")
    updated_at = graphene.String(required=True, description="ISO-8601, UTC.")

    @staticmethod
    def resolve_total_purchases(row: CustomerRow, _info: Any) -> str:
        """A string: a float would lose cents."""
        return f"{row.total_purchases:.2f}"


class Basket(ContractType):  # graphene is untyped
    """A basket at a till; what has not been seen yet is null."""

    basket_id = graphene.ID(required=True)
    employee_id = graphene.String()
    terminal_id = graphene.String()
    customer_id = graphene.ID()
    customer = graphene.Field(Customer)
    started_at = graphene.String(description="ISO-8601, UTC.")
    identified_at = graphene.String(description="ISO-8601, UTC.")

    @staticmethod
    async def resolve_customer(row: BasketRow, info: Any) -> CustomerRow | None:
        """The customer of the last identification, once the read model has it."""
        if row.customer_id is None:
            return None
        context: GraphQLContext = info.context
        return await context.once(Loaders).customers.load(row.customer_id)
