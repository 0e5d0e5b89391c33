"""Makes the rows of an alert, and takes the names of forgotten customers out of it. Pure.

An alert names customers in three places: its own `customer_id`, its `group`, and the fields of its
observations. Rule, value, employee and terminal stay: they are the shop's.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from agents.fraud_detection.events.outputs import (
    AlertObservation,
    FraudAlertRaised,
    FraudEpisode,
    FraudVerdict,
)
from agents.fraud_detection.verdict import AlertStatus
from posstream.domain.times import parse_utc
from posstream.forgetting.marks import Marks, Trace, subjects_of
from posstream.read_model.stored_time import stored

Row = Mapping[str, Any]

#: The clock of a till may be fast by this much before its times are replaced: a time may seem to
#: be later than a mark that came after it.
FAST_CLOCK: Final = timedelta(seconds=60)


class Kind(StrEnum):
    """What a customer is named by; the last part of the name of a field."""

    ID = "customer_id"
    IDENTIFIER = "customer_identifier"


_KINDS: Final[Mapping[str, Kind]] = {kind.value: kind for kind in Kind}


@dataclass(frozen=True, slots=True)
class Kept:
    """An alert as it may be kept."""

    alert: FraudAlertRaised
    #: The newest of the marks that took a name out; None if all names are there.
    forgotten_at: datetime | None = None


def traces_of(alert: FraudAlertRaised) -> Iterator[Trace]:
    """One for each place in an alert that names a customer."""
    at = _at(alert.occurred_at)
    names = {alert.customer_id, alert.group.get(Kind.ID)} - {None, ""}
    yield from (Trace("", name, at) for name in names)
    yield from (trace for it in alert.observations if (trace := _trace(it)) is not None)


def names_of(alert: FraudAlertRaised) -> frozenset[tuple[Kind, str]]:
    """Every name in an alert."""
    traces = list(traces_of(alert))
    ids = {(Kind.ID, trace.customer_id) for trace in traces if trace.customer_id}
    return frozenset(
        ids | {(Kind.IDENTIFIER, trace.identifier) for trace in traces if trace.identifier}
    )


def kept(alert: FraudAlertRaised, marks: Marks) -> Kept:
    """An alert without the customers that the marks cover."""
    covering = [at for trace in traces_of(alert) for at in _covering(trace, marks)]
    if not covering:
        return Kept(alert)
    return Kept(without(alert, marks.cover), max(covering))


def without(alert: FraudAlertRaised, is_gone: Callable[[Trace], bool]) -> FraudAlertRaised:
    """An alert without some of the customers whom it names.

    Args:
        alert: not changed.
        is_gone: whether the names of a place in the alert are taken out.
    """
    at = _at(alert.occurred_at)

    def left(customer_id: str | None) -> str | None:
        return None if customer_id and is_gone(Trace("", customer_id, at)) else customer_id

    return replace(
        alert,
        customer_id=left(alert.customer_id),
        group={
            name: (left(value) or "") if name == Kind.ID else value
            for name, value in alert.group.items()
        },
        observations=[
            _nameless(it) if (trace := _trace(it)) and is_gone(trace) else it
            for it in alert.observations
        ],
    )


def row_of(episode: FraudEpisode, marks: Marks) -> Row:
    """The row of an alert, times as `stored` text."""
    left = kept(episode.alert, marks)
    alert = left.alert
    return {
        "alert_id": alert.alert_id,
        "revision": episode.revision,
        "rule_id": alert.rule_id,
        "severity": alert.severity.value,
        "rule_state": episode.rule_state.value,
        "snoozed": episode.snoozed,
        "hits": episode.hits,
        "last_hit_at": stored(_moment(episode.last_hit_at)),
        "occurred_at": stored(_moment(alert.occurred_at)),
        "basket_id": alert.basket_id,
        "terminal_id": alert.terminal_id,
        "employee_id": alert.employee_id,
        "customer_id": alert.customer_id,
        "status": AlertStatus.OPEN.value,
        "verdict_id": None,
        "forgotten_at": left.forgotten_at and stored(left.forgotten_at),
        "document": msgspec.to_builtins(alert),
    }


def name_rows(alert: FraudAlertRaised) -> list[Row]:
    """The rows of the names in an alert."""
    return [
        {"alert_id": alert.alert_id, "kind": kind.value, "name": name}
        for kind, name in sorted(names_of(alert))
    ]


def verdict_row(verdict: FraudVerdict) -> Row:
    """The row of a verdict, its time as `stored` text."""
    return {**msgspec.to_builtins(verdict), "at": stored(_moment(verdict.at))}


def stored_alert(document: object) -> FraudAlertRaised:
    """The alert in a row."""
    return msgspec.convert(document, FraudAlertRaised)


def kind_of(field: str) -> Kind | None:
    """What a field of an observation names, such as `basket.customer_id`; None: no customer."""
    name = field.rpartition(".")[2]
    return _KINDS.get(name)


def _trace(observation: AlertObservation) -> Trace | None:
    names = {
        kind: text
        for field, text in observation.fields.items()
        if text and (kind := kind_of(field)) is not None
    }
    if not names:
        return None
    at = _at(observation.occurred_at)
    return Trace(names.get(Kind.IDENTIFIER, ""), names.get(Kind.ID), at)


def _nameless(observation: AlertObservation) -> AlertObservation:
    fields = observation.fields.items()
    return replace(
        observation, fields={name: text for name, text in fields if kind_of(name) is None}
    )


def _covering(trace: Trace, marks: Marks) -> Iterator[datetime]:
    for subject in subjects_of(trace):
        forgotten_at = marks.forgotten_at.get(subject)
        if forgotten_at is not None and trace.at <= forgotten_at:
            yield forgotten_at


def _at(text: str) -> datetime:
    return _moment(text) - FAST_CLOCK


def _moment(text: str) -> datetime:
    moment = parse_utc(text)
    if moment is None:
        raise ValueError("no time")
    return moment
