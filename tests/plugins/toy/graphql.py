"""What the toy adds to the GraphQL schema: a query, and a field of `Customer`."""

from typing import Any, cast

import graphene

from web.graphql.context import GraphQLContext
from web.graphql.part import GraphQLPart

from .visits import Visits


def visits_of(context: GraphQLContext) -> Visits:
    """The port of the toy."""
    return cast("Visits", context.ports("toy"))


class VisitsQuery:
    """The query of the toy."""

    toy_visits = graphene.Int(
        required=True,
        customer_id=graphene.ID(required=True),
        description="How many answers of this customer the toy counted.",
    )

    async def resolve_toy_visits(self, info: Any, customer_id: str) -> int:
        return await visits_of(info.context).of_customer(customer_id)


async def _of_customer(customer: Any, info: Any) -> int:
    return await visits_of(info.context).of_customer(customer.customer_id)


def graphql_part() -> GraphQLPart:
    """The toy's part of the schema."""
    return GraphQLPart(
        queries=(VisitsQuery,),
        fields={
            "Customer": {
                "visits": graphene.Int(
                    resolver=_of_customer, description="How many answers the toy counted."
                )
            }
        },
        searches=frozenset({"toyVisits"}),
    )
