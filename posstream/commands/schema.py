"""`posstream schema`: the GraphQL schema as text."""

import click


@click.command("schema")
def command() -> None:
    """Print the GraphQL schema in SDL, the schema definition language."""
    from graphql import print_schema

    from web.graphql.schema import build_schema

    print(print_schema(build_schema()))
