"""The schema, put together once per application."""

import graphene
from graphql import GraphQLSchema

from agents.customer_lookup.graphql.mutations import Mutation
from agents.customer_lookup.graphql.queries import Query
from agents.customer_lookup.graphql.subscriptions import Subscription
from web.graphql.masking import mask_fields
from web.graphql.permissions import guard_mutations


def build_schema() -> GraphQLSchema:
    """The contract's schema (section 3), as far as it is built."""
    schema: GraphQLSchema = graphene.Schema(
        query=Query, mutation=Mutation, subscription=Subscription
    ).graphql_schema
    guard_mutations(schema)
    mask_fields(schema)
    return schema
