"""Builds fraud detection on one worker."""

from typing import TYPE_CHECKING

from agents.fraud_detection.agent import FraudAgent
from agents.fraud_detection.current_rules import CurrentRules
from agents.fraud_detection.leaving import INTERVAL_SECONDS, LeavingGroups
from agents.fraud_detection.topics import OBSERVATIONS
from posstream.plugin import Built, Kit
from tables.partitioned import PartitionedTable

if TYPE_CHECKING:
    from agents.fraud_detection.configuration import FraudConfiguration
    from posstream.configuration.current import CurrentConfiguration

#: Of the memory for entries that were read last: those of the groups that are busy now.
_HOT_BYTES = 16 * 1024 * 1024


def build(kit: Kit) -> Built:
    """Wire the plugin on the app of one start."""
    if kit.configuration is None:
        raise TypeError("fraud detection has a live configuration")
    configuration: CurrentConfiguration[FraudConfiguration] = kit.configuration
    rules = CurrentRules(configuration, kit.clock)
    table = PartitionedTable(
        kit.app, OBSERVATIONS, partitions=kit.settings.topic_partitions, hot_bytes=_HOT_BYTES
    )
    agent = FraudAgent(app=kit.app, table=table, rules=rules, clock=kit.clock, metrics=kit.metrics)
    leaving = LeavingGroups(
        table=table, agent=agent, rules=rules, clock=kit.clock, metrics=kit.metrics
    )
    kit.app.timer(INTERVAL_SECONDS, name="groups that leave")(leaving.look)
    return Built(ports=None, warnings=rules.warnings)
