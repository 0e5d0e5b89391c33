"""Builds fraud detection on one worker."""

from collections.abc import Awaitable
from typing import TYPE_CHECKING

from agents.fraud_detection.agent import FraudAgent
from agents.fraud_detection.current_rules import CurrentRules
from agents.fraud_detection.forgetting_groups import ForgettingGroups
from agents.fraud_detection.forgotten_customers import ForgottenCustomers
from agents.fraud_detection.fraud_ports import FraudPorts
from agents.fraud_detection.leaving import INTERVAL_SECONDS, LeavingGroups
from agents.fraud_detection.preview_process import previewing
from agents.fraud_detection.read_model.queries import FraudAlerts
from agents.fraud_detection.topics import FRAUD_ALERT_RAISED, OBSERVATIONS
from posstream.kafka.event_feed import EventFeed
from posstream.kafka.feed_reader import FeedReader
from posstream.plugin import Built, Kit, Lifetime
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
    servers, clock = kit.settings.bootstrap_servers, kit.clock
    rules = CurrentRules(configuration, clock)
    table = PartitionedTable(
        kit.app, OBSERVATIONS, partitions=kit.settings.topic_partitions, hot_bytes=_HOT_BYTES
    )
    agent = FraudAgent(app=kit.app, table=table, rules=rules, clock=clock, metrics=kit.metrics)
    forgetting = ForgettingGroups(table=table, changed=agent.forget_held)
    forgotten = ForgottenCustomers(servers, forgetting, clock=clock)
    leaving = LeavingGroups(
        table=table,
        agent=agent,
        forgetting=forgetting,
        marks=lambda: forgotten.marks,
        rules=rules,
        clock=clock,
        metrics=kit.metrics,
    )
    kit.app.timer(INTERVAL_SECONDS, name="groups that leave")(leaving.look)
    raised = EventFeed(clock, what="alerts")
    reader = FeedReader(servers, raised, FRAUD_ALERT_RAISED, name="fraud alerts")

    def reads() -> Awaitable[None]:
        return reader.open(fetch_wait_ms=kit.app.tuning.fetch_wait_ms)

    def forgets() -> Awaitable[None]:
        return forgotten.open(fetch_wait_ms=kit.app.tuning.background_wait_ms)

    return Built(
        ports=FraudPorts(
            alerts=FraudAlerts(kit.readers),
            publisher=kit.publisher,
            raised=raised,
            preview=previewing(servers, clock),
        ),
        lifetimes=(
            Lifetime(name="Alerts", open=reads, close=reader.close),
            Lifetime(name="Forgotten customers", open=forgets, close=forgotten.close),
        ),
        warnings=rules.warnings,
    )
