"""What the plugin's GraphQL, pages and commands ask of the plugin as it runs on this worker."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from agents.fraud_detection.preview import Preview
from agents.fraud_detection.read_model.queries import FraudAlerts
from posstream.kafka.event_feed import EventFeed
from posstream.kafka.record import EventPublisher

if TYPE_CHECKING:
    from agents.fraud_detection.configuration import FraudConfiguration
    from posstream.configuration.editing import LiveConfiguration
    from web.graphql.context import GraphQLContext

NAME: Final = "fraud_detection"


@dataclass(frozen=True, slots=True, kw_only=True)
class FraudPorts:
    """`Built.ports` of the plugin."""

    alerts: FraudAlerts
    publisher: EventPublisher
    #: Alerts as they are published, by whichever worker.
    raised: EventFeed
    preview: Preview


def fraud_ports(context: "GraphQLContext") -> FraudPorts:
    """The ports of the plugin.

    Raises:
        PluginUnavailable: if the plugin does not run on this worker.
    """
    return cast("FraudPorts", context.ports(NAME))


def live_configuration(context: "GraphQLContext") -> "LiveConfiguration[FraudConfiguration]":
    """The plugin's live configuration."""
    return context.configurations[NAME]
