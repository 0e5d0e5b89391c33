"""How long the fetches of a consumer wait."""

from types import SimpleNamespace
from typing import Any

import pytest

from posstream.kafka.tuning import EMBEDDED_TUNING, Tuning
from posstream.streaming.patches import pace
from posstream.streaming.patches.pace import FetchPace

KIB = 1024


class Fetched:
    """A consumer whose fetches bring so many records."""

    def __init__(self) -> None:
        self._fetcher: Any = SimpleNamespace()
        self._pace = FetchPace()

    def waits(self, brought: int, **options: Any) -> tuple[int, int]:
        """The wait of the next fetch in milliseconds, and the bytes that it waits for."""
        self._pace.set(self, brought=brought, wait_ms=500, quiet_wait_ms=900, **options)
        return self._fetcher._fetch_max_wait_ms, self._fetcher._fetch_min_bytes


@pytest.mark.parametrize(
    ("brought", "expected"),
    [
        (0, (500, 1)),
        (19, (500, 1)),
        (20, (10, 64 * KIB)),
        (59, (10, 64 * KIB)),
        (60, (20, 64 * KIB)),
        (1000, (20, 64 * KIB)),
    ],
)
def test_a_busy_consumer_waits_some_milliseconds_for_more(
    brought: int, expected: tuple[int, int]
) -> None:
    assert Fetched().waits(brought, gathers=True) == expected


def test_no_longer_busy_it_takes_the_next_event_at_once() -> None:
    fetched = Fetched()
    assert fetched.waits(60, gathers=True) == (20, 64 * KIB)
    assert fetched.waits(1, gathers=True) == (500, 1)


def test_who_does_not_gather_waits_for_one_record() -> None:
    assert Fetched().waits(1000) == (500, 1)


@pytest.mark.parametrize(
    ("each", "expected"),
    [
        (2, (500, 1)),  # 200 a second: a single event does not wait
        (4, (40, 64 * KIB)),  # 400 a second, in short lists
        (100, (40, 64 * KIB)),
    ],
)
def test_a_plugin_that_no_till_waits_for_gathers_from_a_rate_on(
    monkeypatch: pytest.MonkeyPatch, each: int, expected: tuple[int, int]
) -> None:
    moments = iter(0.01 * number for number in range(100))
    monkeypatch.setattr(pace.time, "monotonic", lambda: next(moments))
    fetched = Fetched()
    for _ in range(60):
        waits = fetched.waits(each, gathers=True, gathers_from=390)
    assert waits == expected


def test_when_fewer_events_come_in_a_second_it_takes_the_next_one_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    moments = iter([0.0, 0.3, 0.6, 0.9])
    monkeypatch.setattr(pace.time, "monotonic", lambda: next(moments))
    fetched = Fetched()
    assert fetched.waits(300, gathers=True, gathers_from=400) == (40, 64 * KIB)
    assert fetched.waits(10, gathers=True, gathers_from=400) == (500, 1)
    assert fetched.waits(0, gathers=True, gathers_from=400) == (500, 1)


def test_on_the_embedded_broker_nobody_gathers(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter([0.0, 0.3])
    monkeypatch.setattr(pace.time, "monotonic", lambda: next(moments))
    assert Fetched().waits(300, gathers=False, gathers_from=400) == (500, 1)


def test_without_records_for_some_seconds_it_waits_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    moments = iter([0.0, 1.0, 2.9, 3.1, 3.2])
    monkeypatch.setattr(pace.time, "monotonic", lambda: next(moments))
    fetched = Fetched()
    assert fetched.waits(1) == (500, 1)
    assert fetched.waits(0) == (500, 1)
    assert fetched.waits(0) == (900, 1)
    assert fetched.waits(1) == (500, 1)


def test_the_embedded_broker_would_sleep_through_each_wait() -> None:
    assert Tuning().gathers
    assert not EMBEDDED_TUNING.gathers


def test_the_first_event_after_quiet_seconds_comes_at_most_100_ms_later() -> None:
    """The embedded broker looks first after half of a wait, and that pause is its longest."""
    tuning = EMBEDDED_TUNING
    assert (tuning.quiet_fetch_wait_ms - tuning.fetch_wait_ms) / 2 <= 100
