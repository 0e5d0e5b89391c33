import dataclasses
from typing import Any

import pytest

from agents.customer_lookup.drills.drill import (
    Drill,
    InvalidDrill,
    drill_record,
    plan_drill,
    read_drill,
)
from agents.customer_lookup.topics import OUTAGE_DRILLS

NOW_MS = 1_769_846_400_000
PLAN: dict[str, Any] = {
    "fault": "LATENCY",
    "percent": 30,
    "milliseconds": 2000,
    "minutes": 5,
    "now_ms": NOW_MS,
    "by": "anna",
}


def planned(**changes: Any) -> Drill:
    drill = plan_drill(**(PLAN | changes))
    assert isinstance(drill, Drill)
    return drill


def test_a_drill_is_over_by_itself_to_the_millisecond() -> None:
    drill = planned()
    assert drill.ends_at_ms - NOW_MS == 300_000
    assert drill.runs(NOW_MS + 299_999)
    assert not drill.runs(NOW_MS + 300_000)


def test_a_drill_runs_no_longer_than_planned_where_the_clock_is_behind() -> None:
    drill = planned()
    assert not drill.runs(NOW_MS - 1)
    assert not drill.strikes(NOW_MS - 86_400_000, 0)
    assert not drill.is_over(NOW_MS - 1), "it can still be stopped"


def test_a_stopped_drill_is_over_whatever_the_clock_says() -> None:
    drill = dataclasses.replace(planned(), stopped_by="olga")
    assert drill.is_over(NOW_MS)
    assert not drill.runs(NOW_MS)


def test_so_many_percent_of_the_chances_are_struck() -> None:
    drill = planned(percent=30)
    struck = [drill.strikes(NOW_MS, chance / 1000) for chance in range(1000)]
    assert sum(struck) == 300
    assert not drill.strikes(NOW_MS + 300_000, 0)


def test_all_that_is_wrong_with_a_plan_is_told_by_field() -> None:
    refused = plan_drill(**(PLAN | {"percent": 0, "milliseconds": 60_001, "minutes": None}))
    assert isinstance(refused, InvalidDrill)
    assert refused.errors == {
        "percent": "must be a whole number from 1 to 100",
        "milliseconds": "must be a whole number from 1 to 60000",
        "minutes": "must be a whole number from 1 to 60",
    }
    unknown = plan_drill(**(PLAN | {"fault": "FIRE"}))
    assert isinstance(unknown, InvalidDrill)
    assert list(unknown.errors) == ["fault"]


@pytest.mark.parametrize("fault", ["ERRORS", "TIMEOUTS"])
def test_only_latency_needs_to_know_how_late(fault: str) -> None:
    assert planned(fault=fault, milliseconds=None).milliseconds == 0


def test_a_record_brings_the_same_drill_to_another_worker() -> None:
    drill = planned(percent=100)
    record = drill_record(drill)
    assert (record.topic, record.partition) == (OUTAGE_DRILLS, 0)
    assert record.value is not None
    assert read_drill(record.value) == drill


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"LATENCY"', b'"FIRE"'),
        (b'"percent":30', b'"percent":101'),
        (b'"percent":30', b'"percent":true'),
        (b'"milliseconds":2000', b'"milliseconds":-1'),
        (b"08:05:00.000Z", b"09:00:00.001Z"),
        (b"08:05:00.000Z", b"07:59:59.999Z"),
        (b"2026-01-31T08:05:00.000Z", b"soon"),
        (b'"anna"', b"7"),
        (b"}", b""),
    ],
)
def test_a_record_that_could_not_have_been_planned_is_no_drill(old: bytes, new: bytes) -> None:
    value = drill_record(planned()).value
    assert value is not None
    assert old in value
    assert read_drill(value.replace(old, new)) is None


def test_a_record_that_nests_too_deep_is_no_drill() -> None:
    assert read_drill(b'{"later_field":' + b"[" * 1_100 + b"]" * 1_100 + b"}") is None
