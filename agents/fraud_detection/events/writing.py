"""Writes the plugin's events as records. No I/O."""

from typing import Final

import msgspec

from agents.fraud_detection.engine.judged import Grown, Raised
from agents.fraud_detection.engine.observation import Fact, Observation
from agents.fraud_detection.events.outputs import (
    AlertObservation,
    FraudAlertRaised,
    FraudEpisode,
    FraudHits,
    FraudReading,
)
from agents.fraud_detection.rules.fields import NUMBERS
from agents.fraud_detection.topics import EPISODES, FRAUD_ALERT_RAISED
from posstream.domain.money import amount_text, quantity_text
from posstream.domain.times import iso_utc_ms
from posstream.events.envelope import event_record
from posstream.events.ids import derived
from posstream.kafka.record import Record

SOURCE: Final = b"/posstream/fraud-detection"
#: Numbers that are amounts of money; the others are written without zeros that say nothing.
_MONEY: Final = frozenset({"amount", "unit_price", "basket.total", "basket.paid"})


def alert_id(rule_id: str, rule_version: str, group: str, triggered_by: str) -> str:
    """The id of an alert (contract, section 8).

    Args:
        rule_id: of the rule.
        rule_version: `CompiledRule.version`.
        group: as `group_key` writes it.
        triggered_by: the id of the event.
    """
    return derived(f"{rule_id}/{rule_version}/{group}/{triggered_by}")


def alert_of(
    raised: Raised, key: str, group: dict[str, str], *, complete_from_ms: int
) -> FraudAlertRaised:
    """An alert as it is told.

    Args:
        raised: the engine's.
        key: of its group, as `group_key` writes it.
        group: its group.
        complete_from_ms: since when what the rule reads is known in this partition; 0 = ever.
    """
    rule, trigger = raised.rule, raised.trigger
    known_as = alert_id(rule.rule.id, rule.version, key, trigger.event_id)
    is_whole = complete_from_ms <= raised.window_start_ms
    return FraudAlertRaised(
        event_id=derived(f"{known_as}/{FRAUD_ALERT_RAISED}"),
        occurred_at=iso_utc_ms(trigger.at_ms),
        alert_id=known_as,
        rule_id=rule.rule.id,
        rule_version=rule.version,
        rule_name=raised.called.name,
        severity=raised.called.severity,
        group=group,
        function=rule.rule.function,
        value=decimal_text(raised.value),
        operator=rule.rule.operator,
        limit=decimal_text(rule.limit),
        window_seconds=rule.rule.window_seconds,
        window_start=iso_utc_ms(raised.window_start_ms),
        window_end=iso_utc_ms(raised.window_end_ms),
        triggered_by=trigger.event_id,
        observations=[shown(it) for it in raised.observations],
        observations_total=raised.total,
        basket_id=_id(trigger, "basket_id"),
        terminal_id=_id(trigger, "terminal_id"),
        employee_id=_id(trigger, "employee_id"),
        customer_id=_id(trigger, "customer_id"),
        complete_from=None if is_whole else iso_utc_ms(complete_from_ms),
        config_version=raised.config_version,
    )


def alert_record(alert: FraudAlertRaised, now_ms: int, trace: str | None) -> Record:
    """An alert on `fraud-alert-raised`."""
    return event_record(FRAUD_ALERT_RAISED, alert.alert_id, alert, now_ms, trace, source=SOURCE)


def episode_record(alert: FraudAlertRaised, raised: Raised) -> Record:
    """An alert with its hits, for the read model."""
    episode = FraudEpisode(
        alert=alert,
        rule_state=raised.state,
        snoozed=raised.is_snoozed,
        hits=raised.hits,
        last_hit_at=iso_utc_ms(raised.last_hit_ms),
        revision=raised.hits,
    )
    return Record(EPISODES, alert.alert_id.encode(), msgspec.json.encode(episode), [])


def hits_record(grown: Grown, key: str) -> Record:
    """The record of how many hits an alert has by now, for the read model.

    Args:
        grown: the engine's.
        key: of its group, as `group_key` writes it.
    """
    rule = grown.rule
    known_as = alert_id(rule.rule.id, rule.version, key, grown.triggered_by)
    hits = FraudHits(alert_id=known_as, hits=grown.hits, last_hit_at=iso_utc_ms(grown.last_hit_ms))
    return Record(EPISODES, known_as.encode(), msgspec.json.encode(hits), [])


def reading_record(
    rule_id: str, partition: int, percent: int, whole_ms: int, now_ms: int
) -> Record:
    """The record of how far past events are read back for a rule; see `FraudReading`."""
    reading = FraudReading(
        rule_id=rule_id,
        partition=partition,
        percent=percent,
        whole_at=iso_utc_ms(whole_ms),
        at=iso_utc_ms(now_ms),
    )
    key = f"{rule_id}/{partition}".encode()
    return Record(EPISODES, key, msgspec.json.encode(reading), [])


def decimal_text(number: int) -> str:
    """A number in ten-thousandths, without zeros that say nothing: `3`, `-0.5`."""
    return f"{'-' if number < 0 else ''}{quantity_text(abs(number))}"


def shown(it: Observation) -> AlertObservation:
    """An observation as it is told."""
    return AlertObservation(
        event_id=it.event_id,
        event_type=it.event_type,
        occurred_at=iso_utc_ms(it.at_ms),
        fields={name: _text(name, value) for name, value in it.facts.items()},
    )


def _text(name: str, value: Fact) -> str:
    if isinstance(value, str):
        return value
    if name in _MONEY:
        return amount_text(value)
    if name in NUMBERS:
        return decimal_text(value)
    return str(value)


def _id(it: Observation, name: str) -> str | None:
    value = it.facts.get(name)
    return None if value is None else str(value)
