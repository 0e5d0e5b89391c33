"""Who is lost, who is back, and who cannot tell because it is deaf itself."""

import logging
from typing import Any

import msgspec
import pytest

from posstream.fleet.fleet import Fleet, Workers, span
from posstream.fleet.heartbeat import farewell, heartbeat_record, read_heartbeat
from posstream.kafka.topics import WORKERS
from tests.fleet_beats import HERE, OTHER, beat, value_of
from tests.manual_clock import ManualClock

#: The broker's clock is half an hour ahead of this machine's.
AHEAD_MS = 1_800_000


class Cluster:
    """Two workers, of which one is asked; time goes on in steps of 5 seconds."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.fleet = Fleet(self.clock)  # type: ignore[arg-type] # only its methods are used
        self.fleet.here = HERE

    def takes(self, worker: str) -> None:
        at_ms = self.clock.now_ms() + AHEAD_MS
        self.fleet.take(worker.encode(), value_of(beat(worker)), at_ms)

    def steps(self, count: int, *beating: str) -> None:
        for _ in range(count):
            for worker in beating:
                self.takes(worker)
            self.fleet.look()
            self.clock.advance(5)

    @property
    def told(self) -> list[str]:
        return [it.sentence for it in self.fleet.findings]


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_a_silent_worker_is_lost_after_20_seconds_and_back_with_its_next_beat(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    cluster = Cluster()
    cluster.steps(6, HERE, OTHER)
    assert (cluster.told, cluster.fleet.lost) == ([], 0)
    cluster.steps(4, HERE)
    assert cluster.told == [], "20 seconds have not passed"
    cluster.steps(2, HERE)
    assert cluster.told == ["the worker two:8000 is lost: not seen for 35 s"]
    (finding,) = cluster.fleet.findings
    assert (finding.code, finding.severity, finding.next_step, finding.link) == (
        "WORKER_LOST", "WARNING", "Start it again", "/fleet",
    )  # fmt: skip
    assert cluster.fleet.lost == 1
    cluster.steps(2, HERE, OTHER)
    assert (cluster.told, cluster.fleet.lost) == ([], 0)
    assert logged(caplog) == [
        "the worker two:8000 is lost: not seen for 25 s",
        "the worker two:8000 is back",
    ]


def test_a_worker_that_stopped_in_order_is_not_lost() -> None:
    cluster = Cluster()
    cluster.steps(6, HERE, OTHER)
    cluster.fleet.take(OTHER.encode(), farewell(OTHER).value, 0)
    cluster.steps(9, HERE)
    assert [it.beat.worker for it in cluster.fleet.members] == [HERE]
    assert cluster.told == []


def test_nobody_is_lost_while_the_own_records_do_not_come_back() -> None:
    cluster = Cluster()
    cluster.steps(6, HERE, OTHER)
    cluster.steps(100)
    assert (cluster.fleet.hears, cluster.told) == (False, [])
    cluster.steps(4, HERE)
    assert (cluster.fleet.hears, cluster.told) == (True, []), "the other may need a moment as well"
    cluster.steps(2, HERE)
    assert cluster.fleet.lost == 1


def test_a_worker_that_was_lost_before_the_start_is_found_lost_and_left_alone_after_a_day(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    cluster = Cluster()
    cluster.takes(OTHER)
    cluster.clock.advance(3 * 3600)
    cluster.steps(4, HERE)
    assert cluster.told == []
    cluster.steps(1, HERE)
    assert cluster.told == ["the worker two:8000 is lost: not seen for 3 h"]
    cluster.clock.advance(21 * 3600)
    cluster.steps(6, HERE)
    assert (cluster.told, len(cluster.fleet.members)) == ([], 1)
    assert logged(caplog)[-1] == "stopped looking for the lost worker two:8000"


def test_a_record_that_is_no_heartbeat_changes_nothing() -> None:
    workers = Workers()
    good = value_of(beat())
    assert workers.take(OTHER.encode(), good, 1)
    bad: list[tuple[bytes | None, bytes]] = [
        (b"another", good),
        (None, good),
        (OTHER.encode(), b"[]"),
        (OTHER.encode(), b"{"),
        (OTHER.encode(), b"[" * 100_000),
        (OTHER.encode(), good.replace(b"2026-01-31", b"2026-13-31")),
        (OTHER.encode(), good.replace(b'"lag":7', b'"lag":-7')),
    ]
    for key, value in bad:
        assert not workers.take(key, value, 2)
    (member,) = workers.members(5001)
    assert (member.beat, member.silent_seconds) == (beat(), 5.0)


def test_a_heartbeat_is_read_as_it_was_written_and_by_older_workers() -> None:
    record = heartbeat_record(beat())
    assert (record.topic, record.key, record.partition) == (WORKERS, OTHER.encode(), 0)
    assert read_heartbeat(record.value or b"") == beat()
    newer: dict[str, Any] = msgspec.to_builtins(beat()) | {"new": 1}
    assert read_heartbeat(msgspec.json.encode(newer)) == beat()
    assert (beat().lag, beat().partitions) == (7, 2)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(25.4, "25 s"), (119, "119 s"), (600, "10 min"), (9000, "2 h"), (400_000, "5 days")],
)
def test_how_long_ago_is_said_in_fitting_units(seconds: float, words: str) -> None:
    assert span(seconds) == words
