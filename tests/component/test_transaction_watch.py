"""A transaction that stays open is told with its place, and how much it holds up."""

from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from posstream.streaming.patches.consumer_thread import ConsumerThread
from posstream.streaming.stall import HANGS_SECONDS, TransactionWatch
from tests.manual_clock import ManualClock

SOURCE, OTHER = TP("source", 3), TP("other", 0)
SENTENCE = (
    "an open transaction at source/3/41 holds up 7 records: what is behind it can be read when "
    "its producer commits or aborts it"
)


class Bench:
    def __init__(self) -> None:
        self.clock = ManualClock()
        #: Up to where each partition can be read, and how many records are behind that.
        self.held = {SOURCE: (41, 0), OTHER: (0, 9)}
        consumer = SimpleNamespace(assignment=lambda: set(self.held), held_back=self.held.get)
        self.off = set[str]()
        lanes = SimpleNamespace(is_on=lambda topic: topic not in self.off)
        app: Any = SimpleNamespace(consumer=consumer, lanes=lanes)
        self.watch = TransactionWatch(app, ["source"], clock=self.clock)

    def after(self, seconds: float) -> list[str]:
        self.watch.look()
        self.clock.advance(seconds)
        self.watch.look()
        return list(self.watch.warnings)


def test_without_an_open_transaction_nothing_is_said() -> None:
    bench = Bench()
    assert (bench.after(HANGS_SECONDS), bench.watch.held_back) == ([], 0)


def test_one_that_stays_open_is_told_once_and_so_is_its_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    bench = Bench()
    bench.held[SOURCE] = (41, 7)
    assert bench.after(HANGS_SECONDS - 1) == []
    assert (bench.after(1), bench.watch.held_back) == ([SENTENCE], 7)
    bench.held[SOURCE] = (41, 8)
    bench.after(1)
    bench.held[SOURCE] = (49, 0)
    assert (bench.after(1), bench.watch.held_back) == ([], 0)
    assert caplog.messages == [
        SENTENCE,
        "the transaction at source/3/41 holds up nothing any more",
    ]


def test_transactions_that_come_and_go_do_not_hang() -> None:
    bench = Bench()
    for offset in range(41, 61):
        bench.held[SOURCE] = (offset, 3)
        assert bench.after(HANGS_SECONDS - 1) == []


@pytest.mark.parametrize(
    ("end", "stable", "held", "readable"),
    [
        (10, 10, (10, 0), 10),
        (10, 4, (4, 6), 4),
        (None, None, (0, 0), None),  # nothing was fetched
        (10, None, (0, 0), 10),  # an old broker
    ],
)
def test_a_partition_can_be_read_up_to_its_first_open_transaction(
    end: int | None, stable: int | None, held: tuple[int, int], readable: int | None
) -> None:
    told = SimpleNamespace(highwater=lambda _: end, last_stable_offset=lambda _: stable)
    thread = object.__new__(ConsumerThread)
    thread._consumer = told
    assert (thread.held_back(SOURCE), thread.highwater(SOURCE)) == (held, readable)


def test_nothing_is_said_of_a_plugin_that_is_switched_off() -> None:
    """Its partitions are not fetched, so nobody knows whether the transaction is still open."""
    bench = Bench()
    bench.held[SOURCE] = (41, 7)
    assert bench.after(HANGS_SECONDS) == [SENTENCE]
    bench.off.add("source")
    assert (bench.after(HANGS_SECONDS), bench.watch.held_back) == ([], 0)
