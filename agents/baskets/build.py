"""Builds the baskets on one worker."""

from typing import TYPE_CHECKING

from agents.baskets.agent import BasketAgent
from agents.baskets.leaving import INTERVAL_SECONDS, LeavingBaskets
from agents.baskets.topics import BASKETS
from posstream.plugin import Built, Kit
from tables.partitioned import PartitionedTable

if TYPE_CHECKING:
    from agents.baskets.configuration import BasketConfiguration
    from posstream.configuration.current import CurrentConfiguration

#: Of the memory for baskets that were read last: those that are open now.
_HOT_BYTES = 16 * 1024 * 1024


def build(kit: Kit) -> Built:
    """Wire the plugin on the app of one start."""
    if kit.configuration is None:
        raise TypeError("the baskets have a live configuration")
    configuration: CurrentConfiguration[BasketConfiguration] = kit.configuration
    table = PartitionedTable(
        kit.app, BASKETS, partitions=kit.settings.topic_partitions, hot_bytes=_HOT_BYTES
    )
    BasketAgent(
        app=kit.app,
        table=table,
        configuration=configuration,
        clock=kit.clock,
        metrics=kit.metrics,
        card_guard=kit.settings.payment_card_guard,
    )
    leaving = LeavingBaskets(
        table=table,
        configuration=configuration,
        clock=kit.clock,
        metrics=kit.metrics,
        oldest_at=lambda: kit.app.lanes.oldest_at,
    )
    kit.app.timer(INTERVAL_SECONDS, name="baskets that leave")(leaving.look)
    return Built()
