"""The schema, put together once per application."""

import graphene
from graphql import GraphQLSchema

from web.graphql.mutations import Mutation
from web.graphql.queries import Query


def build_schema() -> GraphQLSchema:
    """The contract's schema (section 3), as far as it is built."""
    schema: GraphQLSchema = graphene.Schema(query=Query, mutation=Mutation).graphql_schema
    return schema
