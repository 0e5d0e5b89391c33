"""`posstream schema`: the GraphQL schema as text."""

from graphql import print_schema

from posstream.plugins.discovery import find_plugins
from web.plugin_parts import plugin_parts


def sdl() -> str:
    """The schema in the schema definition language; docs/reference/schema.graphql is this."""
    return print_schema(plugin_parts(find_plugins().loaded).schema.graphql) + "\n"
