"""The bar of a cached entry: where its windows end, and where in them it is now."""

import pytest

from agents.customer_lookup.pages.cache_bar import CacheBar, cache_bar
from posstream.domain.times import from_ms
from tables.freshness import Windows

FETCHED = 1_700_000_000_000
HOUR = 3_600_000
WINDOWS = Windows(fresh_ms=HOUR, stale_ms=24 * HOUR, negative_ms=1)


def bar(age_ms: int, windows: Windows = WINDOWS) -> CacheBar:
    return cache_bar(from_ms(FETCHED), FETCHED + age_ms, windows)


def test_the_windows_end_when_the_configuration_says() -> None:
    made = bar(0)
    assert made.fresh_until == from_ms(FETCHED + HOUR)
    assert made.stale_until == from_ms(FETCHED + 24 * HOUR)


@pytest.mark.parametrize(
    ("age_ms", "state"),
    [
        (-1, "fresh"),
        (0, "fresh"),
        (HOUR - 1, "fresh"),
        (HOUR, "stale"),
        (24 * HOUR - 1, "stale"),
        (24 * HOUR, "expired"),
        (1000 * HOUR, "expired"),
    ],
)
def test_the_mark_of_now_stands_in_the_window_that_the_lookup_would_find(
    age_ms: int, state: str
) -> None:
    made = bar(age_ms)
    stale_end = made.fresh_width + made.stale_width
    starts = {"fresh": 0.0, "stale": made.fresh_width, "expired": stale_end}
    ends = {"fresh": made.fresh_width, "stale": stale_end, "expired": 100.0}
    assert made.tag.text == state
    assert starts[state] <= made.now_at < ends[state]


def test_the_mark_only_moves_on() -> None:
    marks = [bar(age * HOUR // 4).now_at for age in range(4 * 26)]
    assert marks == sorted(marks)


@pytest.mark.parametrize(
    ("fresh_ms", "stale_ms", "states"),
    [
        (0, HOUR, ("stale", "expired")),
        (HOUR, 0, ("expired", "expired")),
        (HOUR, HOUR, ("fresh", "expired")),
        (0, 0, ("expired", "expired")),
    ],
)
def test_a_window_that_is_not_there_takes_no_room(
    fresh_ms: int, stale_ms: int, states: tuple[str, str]
) -> None:
    windows = Windows(fresh_ms=fresh_ms, stale_ms=stale_ms, negative_ms=1)
    young, old = bar(0, windows), bar(HOUR, windows)
    assert (young.tag.text, old.tag.text) == states
    assert (young.fresh_width > 0) == (min(fresh_ms, stale_ms) > 0)
    assert (young.stale_width > 0) == (stale_ms > fresh_ms)
