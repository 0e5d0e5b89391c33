"""`posstream schema`: the GraphQL schema as text."""

import click


@click.command("schema")
def command() -> None:
    """Print the GraphQL schema in SDL, the schema definition language."""
    from graphql import print_schema

    from posstream.plugins.discovery import find_plugins
    from web.plugin_parts import plugin_parts

    print(print_schema(plugin_parts(find_plugins().loaded).schema.graphql))
