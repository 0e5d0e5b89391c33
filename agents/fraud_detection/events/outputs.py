"""The models of the events that the plugin writes. No I/O."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from agents.fraud_detection.rules.rule import Function, Operator, RuleState, Severity
from agents.fraud_detection.verdict import Verdict
from posstream.events.fields import Count, DerivedId, KnownId, SchemaVersion, Time


class AlertObservation(Struct, frozen=True, kw_only=True):
    """One event in the window of an alert."""

    event_id: KnownId
    event_type: str
    occurred_at: Time
    fields: Annotated[
        dict[str, str], Meta(description="Those that the rule reads, and the ids; as text.")
    ]


class FraudAlertRaised(Struct, frozen=True, kw_only=True):
    """A rule holds for a group, at the first event of an episode."""

    event_id: DerivedId
    event_type: Literal["FRAUD_ALERT"] = "FRAUD_ALERT"
    schema_version: SchemaVersion = 1
    #: That of the event that triggered it.
    occurred_at: Time
    alert_id: DerivedId
    rule_id: str
    rule_version: Annotated[
        str, Meta(description="A digest of what the rule computes: another rule has another one.")
    ]
    rule_name: str
    severity: Severity
    #: By the names of `group_by`.
    group: dict[str, str]
    function: Function
    value: Annotated[str, Meta(description="A decimal, rounded to four places.")]
    operator: Operator
    limit: Annotated[str, Meta(description="A decimal.")]
    window_seconds: Count
    window_start: Annotated[Time, Meta(description="Not in the window itself.")]
    window_end: Time
    triggered_by: KnownId
    observations: Annotated[
        list[AlertObservation], Meta(description="The newest 50, the newest first.")
    ]
    observations_total: Count
    basket_id: KnownId | None = None
    terminal_id: KnownId | None = None
    employee_id: KnownId | None = None
    customer_id: KnownId | None = None
    complete_from: Annotated[
        Time | None,
        Meta(description="Since when the window is known whole; null if all of it is."),
    ] = None
    config_version: Count


class FraudEpisode(Struct, frozen=True, kw_only=True):
    """An alert with what became of it, for the read model. The last one of an alert counts.

    Further hits come as `FraudHits`.
    """

    alert: FraudAlertRaised
    #: Of the rule, when the alert was raised: an alert of a SHADOW rule was not published.
    rule_state: RuleState
    #: Whether the rule was snoozed for this group: it was not published then either.
    snoozed: bool
    #: How many events of the episode the rule holds at.
    hits: Count
    last_hit_at: Time
    #: Grows with each record of an alert; the highest one counts.
    revision: Count


class FraudHits(Struct, frozen=True, kw_only=True):
    """Further hits of an alert whose `FraudEpisode` came before. The most hits count."""

    alert_id: DerivedId
    #: All hits so far, not only the further ones.
    hits: Count
    last_hit_at: Time


class FraudReading(Struct, frozen=True, kw_only=True):
    """How far past events are read back for a rule, for the read model. The newest one counts."""

    rule_id: str
    #: Of the table of observations.
    partition: Count
    #: How many of the events have been read; of 100. With 100, the rule knows all that it reads.
    percent: Count
    #: At this time the rule would know it anyway: the events from before the rule are too old then.
    whole_at: Time
    at: Time


class FraudVerdict(Struct, frozen=True, kw_only=True):
    """What somebody found out about an alert, for the read model. The newest one counts."""

    verdict_id: KnownId
    alert_id: DerivedId
    verdict: Verdict
    note: str | None
    #: The name of the API key with which somebody gave the verdict.
    author: str
    at: Time
