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

    def waits(self, brought: int, **options: bool) -> tuple[int, int]:
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
