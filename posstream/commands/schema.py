"""`posstream schema`: the GraphQL schema as text."""

from graphql import print_schema

from web.graphql.schema import build_schema


def sdl() -> str:
    """The schema in the schema definition language; docs/reference/schema.graphql is this."""
    return print_schema(build_schema()) + "\n"
