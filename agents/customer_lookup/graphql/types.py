"""The object types of the schema, resolved from rows of the read model."""

from typing import TYPE_CHECKING, Any

import graphene

from agents.customer_lookup.graphql.loaders import Loaders
from agents.customer_lookup.read_model.records import BasketRow, CustomerRow
from posstream.domain.identifier import IdentifierKind as Kind
from web.graphql.types import ContractType

if TYPE_CHECKING:
    from web.graphql.context import GraphQLContext

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
