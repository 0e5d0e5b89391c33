"""Builds fraud detection on one worker."""

from collections.abc import Awaitable
from typing import TYPE_CHECKING

from agents.fraud_detection.agent import FraudAgent
from agents.fraud_detection.current_rules import CurrentRules
from agents.fraud_detection.forgetting_groups import ForgettingGroups
from agents.fraud_detection.forgotten_customers import ForgottenCustomers
from agents.fraud_detection.judge import Judge
from agents.fraud_detection.leaving import INTERVAL_SECONDS, LeavingGroups
from agents.fraud_detection.past_events import past_events
from agents.fraud_detection.reading_back import ReadingBack
from agents.fraud_detection.topics import OBSERVATIONS
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
    clock = kit.clock
    rules = CurrentRules(configuration, clock)
    table = PartitionedTable(
        kit.app, OBSERVATIONS, partitions=kit.settings.topic_partitions, hot_bytes=_HOT_BYTES
    )
    judge = Judge(table=table, rules=rules, clock=clock, metrics=kit.metrics)
    agent = FraudAgent(
        app=kit.app, table=table, judge=judge, rules=rules, clock=clock, metrics=kit.metrics
    )
    forgetting = ForgettingGroups(table=table, changed=judge.forget_held)
    forgotten = ForgottenCustomers(kit.settings.bootstrap_servers, forgetting, clock=clock)
    leaving = LeavingGroups(
        table=table,
        judge=judge,
        forgetting=forgetting,
        marks=lambda: forgotten.marks,
        rules=rules,
        clock=clock,
        metrics=kit.metrics,
    )
    reading = ReadingBack(
        past=past_events(kit.settings.bootstrap_servers),
        judge=judge,
        is_behind=lambda: agent.is_behind,
        table=table,
        rules=rules,
        marks=lambda: forgotten.marks,
        publisher=kit.publisher,
        clock=clock,
        generation=lambda: kit.app.consumer_generation_id,
    )
    kit.app.timer(INTERVAL_SECONDS, name="groups that leave")(leaving.look)

    def forgets() -> Awaitable[None]:
        return forgotten.open(fetch_wait_ms=kit.app.tuning.rare_fetch_wait_ms)

    return Built(
        lifetimes=(
            Lifetime(name="Forgotten customers", open=forgets, close=forgotten.close),
            Lifetime(name="Past events", open=reading.open, close=reading.close),
        ),
        warnings=rules.warnings,
    )
