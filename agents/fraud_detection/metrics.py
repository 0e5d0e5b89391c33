"""What fraud detection counts. `docs/reference/metrics.md` says what each one means."""

from typing import Final

from posstream.metrics import Metric

METRICS: Final = (
    Metric("counter", "fraud_events", "Till events that were read.", ("outcome",)),
    Metric("counter", "fraud_observations", "Observations of groups.", ("outcome",)),
    Metric("counter", "fraud_alerts", "Alerts that were raised.", ("rule", "told")),
    Metric("counter", "fraud_rule_seconds", "Seconds that a rule was judged for.", ("rule",)),
    Metric("gauge", "fraud_rules_held", "Rules that are paused by their own budget."),
    Metric("gauge", "fraud_groups_kept", "Entries in the table of observations, estimated."),
)
