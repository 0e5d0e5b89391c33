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
    FraudAlertRaised,
    FraudEpisode,
    FraudReading,
    FraudVerdict,
)
from agents.fraud_detection.verdict import AlertStatus
from posstream.domain.times import parse_utc
from posstream.forgetting.marks import Marks, Trace, Trail, subjects_of
from posstream.read_model.stored_time import stored

Row = Mapping[str, Any]
#: Fields by their names.
Names = Mapping[str, str]

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
    """Every customer whom an alert names, each with the time of the place that names them."""
    for names, at in _places(alert):
        yield from _traces(names, at)


def names_of(alert: FraudAlertRaised) -> frozenset[tuple[Kind, str]]:
    """Every name in an alert."""
    return frozenset(
        (kind, text)
        for names, _ in _places(alert)
        for field, text in names.items()
        if text and (kind := kind_of(field)) is not None
    )


def kept(alert: FraudAlertRaised, marks: Marks) -> Kept:
    """An alert without the customers that the marks cover.

    An observation that names one of them loses all of its names: they may mean the same person.
    """
    covering = [at for trace in traces_of(alert) for at in _covering(trace, marks)]
    if not covering:
        return Kept(alert)

    def left(names: Names, at: datetime) -> Names:
        return {} if any(map(marks.cover, _traces(names, at))) else names

    return Kept(_with_names(alert, left), max(covering))


def of_customer(alert: FraudAlertRaised, trail: Trail) -> FraudAlertRaised:
    """An alert without the names of all customers but one."""
    own = {
        *((Kind.IDENTIFIER, name) for name in trail.identifiers),
        *((Kind.ID, name) for name in trail.customer_ids),
    }

    def left(names: Names, _: datetime) -> Names:
        return {field: text for field, text in names.items() if (kind_of(field), text) in own}

    return _with_names(alert, left)


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


def reading_row(reading: FraudReading) -> Row | None:
    """The row of a reading, its times as `stored` text; None if one of them is no time."""
    at, whole_at = parse_utc(reading.at), parse_utc(reading.whole_at)
    if at is None or whole_at is None:
        return None
    return {
        "reading": f"{reading.rule_id}/{reading.partition}",
        "rule_id": reading.rule_id,
        "percent": reading.percent,
        "whole_at": stored(whole_at),
        "at": stored(at),
    }


def stored_alert(document: object) -> FraudAlertRaised:
    """The alert in a row."""
    return msgspec.convert(document, FraudAlertRaised)


def kind_of(field: str) -> Kind | None:
    """What a field of an observation names, such as `basket.customer_id`; None: no customer."""
    name = field.rpartition(".")[2]
    return _KINDS.get(name)


def _places(alert: FraudAlertRaised) -> Iterator[tuple[Names, datetime]]:
    """The names in each place of an alert, and the time from which they are."""
    at = _at(alert.occurred_at)
    if alert.customer_id:
        yield {Kind.ID: alert.customer_id}, at
    yield _named(alert.group), at
    for it in alert.observations:
        yield _named(it.fields), _at(it.occurred_at)


def _with_names(
    alert: FraudAlertRaised, left: Callable[[Names, datetime], Names]
) -> FraudAlertRaised:
    """An alert with those names that `left` leaves of each place."""
    at = _at(alert.occurred_at)
    group = left(_named(alert.group), at)
    own = {} if alert.customer_id is None else left({Kind.ID: alert.customer_id}, at)
    return replace(
        alert,
        customer_id=own.get(Kind.ID),
        group={
            name: group.get(name, "") if kind_of(name) else text
            for name, text in alert.group.items()
        },
        observations=[
            replace(
                it, fields={**_nameless(it.fields), **left(_named(it.fields), _at(it.occurred_at))}
            )
            for it in alert.observations
        ],
    )


def _named(fields: Names) -> Names:
    return {field: text for field, text in fields.items() if kind_of(field) is not None}


def _nameless(fields: Names) -> Names:
    return {field: text for field, text in fields.items() if kind_of(field) is None}


def _traces(names: Names, at: datetime) -> Iterator[Trace]:
    """One for each name of a place: a scan may name somebody else than its basket's customer."""
    for field, text in names.items():
        if text:
            is_id = kind_of(field) is Kind.ID
            yield Trace("", text, at) if is_id else Trace(text, None, at)


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
