"""Which outage drills a worker remembers, for the charts of the console."""

import dataclasses

from agents.customer_lookup.drills.drill import Drill, Fault, drill_record
from agents.customer_lookup.drills.outage_drill import MOST_SEEN, OutageDrills
from posstream.kafka.record import Record
from tests.lookup_metrics import RegisteredMetrics
from tests.manual_clock import ManualClock


async def publish(_: Record) -> None:
    """A broker that takes everything."""


def drills() -> OutageDrills:
    return OutageDrills(publish=publish, clock=ManualClock(), metrics=RegisteredMetrics())


def drill(number: int) -> Drill:
    started_at_ms = number * 60_000
    return Drill(
        fault=Fault.ERRORS,
        percent=50,
        started_at_ms=started_at_ms,
        ends_at_ms=started_at_ms + 60_000,
        started_by="anna",
    )


def test_the_newest_drills_are_remembered_newest_first() -> None:
    known = drills()
    for number in range(MOST_SEEN + 5):
        known.take(drill_record(drill(number)).value)
    assert known.seen == [drill(number) for number in range(MOST_SEEN + 4, 4, -1)]


def test_a_drill_that_was_stopped_is_remembered_once_as_it_ended() -> None:
    known = drills()
    stopped = dataclasses.replace(drill(1), ends_at_ms=90_000, stopped_by="olga")
    for one in (drill(1), stopped):
        known.take(drill_record(one).value)
    assert known.seen == [stopped]


def test_a_record_that_ends_all_drills_forgets_none_of_those_that_were() -> None:
    known = drills()
    known.take(drill_record(drill(1)).value)
    known.take(None)
    assert (known.newest, known.seen) == (None, [drill(1)])
