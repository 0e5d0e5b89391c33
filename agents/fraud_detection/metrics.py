"""What fraud detection counts. `docs/reference/metrics.md` says what each one means."""

from collections.abc import Collection
from typing import Final

from agents.fraud_detection.engine.judged import Outcome
from posstream.metrics import Metric, PluginMetrics, one_of
from posstream.metrics_relay import counted

_EVENTS: Final = one_of(["grouped", "too_late"])
_ARRIVALS: Final = one_of([*(it.lower() for it in Outcome), "unused"])

METRICS: Final = (
    Metric("counter", "fraud_events", "Till events that were read.", ("outcome",), _EVENTS),
    Metric("counter", "fraud_observations", "Observations of groups.", ("outcome",), _ARRIVALS),
    Metric("counter", "fraud_alerts", "Alerts that were raised.", ("rule", "told")),
    Metric("counter", "fraud_rule_seconds", "CPU seconds that a rule was judged for.", ("rule",)),
    Metric("gauge", "fraud_rules_held", "Rules that are paused by their own budget."),
    Metric(
        "counter",
        "fraud_groups_read",
        "Groups read from the table because they were not in memory.",
    ),
    Metric("gauge", "fraud_observations_in_memory", "Observations in memory."),
    Metric("gauge", "fraud_groups_kept", "Entries in the table of observations, estimated."),
)

#: The metrics with a series for each rule: `rule` is the first of their labels.
_OF_RULES: Final = ("fraud_alerts", "fraud_rule_seconds")


def forget_rules(metrics: PluginMetrics, left: Collection[str]) -> None:
    """Drop the series of rules that no longer exist; otherwise they would pile up with each edit.

    Args:
        metrics: the plugin's.
        left: the ids of the rules that still exist.
    """
    for name in _OF_RULES:
        for labels, _ in counted(metrics[name]):
            if labels[0] not in left:
                metrics[name].remove(*labels)
