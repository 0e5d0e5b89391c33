"""What the plugin adds to the GraphQL schema."""

from agents.baskets.graphql.baskets import BasketsQuery, basket_fields, find_basket
from agents.baskets.graphql.mutations import MUTATIONS, PERMISSIONS
from web.graphql.part import GraphQLPart


def graphql_part() -> GraphQLPart:
    """The plugin's query and mutations, and its fields of `Basket`."""
    return GraphQLPart(
        queries=(BasketsQuery,),
        mutations=MUTATIONS,
        permissions=PERMISSIONS,
        fields={"Basket": basket_fields()},
        fallbacks={"basket": find_basket},
        searches=frozenset({"baskets"}),
    )
