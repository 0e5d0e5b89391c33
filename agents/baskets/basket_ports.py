"""What the plugin's GraphQL and pages ask of the plugin as it runs on this worker."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from agents.baskets.read_model.queries import TillBaskets
from posstream.kafka.record import EventPublisher

if TYPE_CHECKING:
    from web.graphql.context import GraphQLContext


@dataclass(frozen=True, slots=True, kw_only=True)
class BasketPorts:
    """`Built.ports` of the plugin."""

    baskets: TillBaskets
    publisher: EventPublisher


def basket_ports(context: "GraphQLContext") -> BasketPorts:
    """The ports of the plugin.

    Raises:
        PluginUnavailable: if the plugin does not run on this worker.
    """
    return cast("BasketPorts", context.ports("baskets"))
