"""What the plugin's GraphQL and pages ask of the plugin as it runs on this worker."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from agents.customer_lookup import PLUGIN
from agents.customer_lookup.directory.trial import DirectoryTrial
from agents.customer_lookup.drills.outage_drill import OutageDrills
from agents.customer_lookup.read_model.queries import SqlReadModel
from posstream.kafka.event_feed import EventFeed
from posstream.kafka.record import EventPublisher
from posstream.resilience.breaker import Breaker

if TYPE_CHECKING:
    from agents.customer_lookup.configuration import LookupConfiguration
    from posstream.configuration.editing import LiveConfiguration
    from web.graphql.context import GraphQLContext


@dataclass(frozen=True, slots=True, kw_only=True)
class LookupPorts:
    """`Built.ports` of the plugin."""

    read_model: SqlReadModel
    publisher: EventPublisher
    answers: EventFeed
    #: The endpoint in force, and this worker's breaker for it.
    breaker: Callable[[], tuple[str, Breaker]]
    drills: OutageDrills
    directory_trial: DirectoryTrial


def lookup_ports(context: "GraphQLContext") -> LookupPorts:
    """The ports of the plugin.

    Raises:
        PluginUnavailable: if the plugin does not run on this worker.
    """
    return cast("LookupPorts", context.ports(PLUGIN.name))


def live_configuration(context: "GraphQLContext") -> "LiveConfiguration[LookupConfiguration]":
    """The plugin's live configuration."""
    return context.configurations[PLUGIN.name]
