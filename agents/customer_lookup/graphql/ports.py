"""The plugin as it runs on this worker, for its GraphQL and its pages."""

from typing import cast

from agents.customer_lookup import PLUGIN
from agents.customer_lookup.configuration import LookupConfiguration
from agents.customer_lookup.lookup_ports import LookupPorts
from posstream.configuration.editing import LiveConfiguration
from web.graphql.context import GraphQLContext


def lookup_ports(context: GraphQLContext) -> LookupPorts:
    """The ports of the plugin.

    Raises:
        PluginUnavailable: if the plugin does not run on this worker.
    """
    return cast("LookupPorts", context.ports(PLUGIN.name))


def live_configuration(context: GraphQLContext) -> LiveConfiguration[LookupConfiguration]:
    """The plugin's live configuration."""
    return context.configurations[PLUGIN.name]
