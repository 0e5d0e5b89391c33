import pytest
from hypothesis import given
from hypothesis import strategies as st

from tables.freshness import (
    MAX_SKEW_MS,
    CacheEntry,
    Freshness,
    Windows,
    age_ms,
    fresh_until_ms,
    judge,
    never_refreshed_ms,
    refresh_due,
)

NOW = 1_700_000_000_000
WINDOWS = Windows(fresh_ms=3_600_000, stale_ms=86_400_000, negative_ms=60_000)
FRESH, STALE, EXPIRED = Freshness.FRESH, Freshness.STALE, Freshness.EXPIRED


def known(age: int) -> CacheEntry:
    return CacheEntry(NOW - age, b"{}")


def unknown(age: int) -> CacheEntry:
    return CacheEntry(NOW - age, None)


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        (0, FRESH),
        (1, FRESH),
        (3_599_999, FRESH),
        (3_600_000, STALE),
        (3_600_001, STALE),
        (86_399_999, STALE),
        (86_400_000, EXPIRED),
        (86_400_001, EXPIRED),
        (10**12, EXPIRED),
    ],
)
def test_the_windows_of_a_customer_are_exact_to_the_millisecond(
    age: int, expected: Freshness
) -> None:
    assert expected is judge(known(age), NOW, WINDOWS)


@pytest.mark.parametrize(
    ("age", "expected"),
    [(0, FRESH), (59_999, FRESH), (60_000, EXPIRED), (60_001, EXPIRED), (3_600_000, EXPIRED)],
)
def test_a_remembered_unknown_has_its_own_window_and_no_stale_one(
    age: int, expected: Freshness
) -> None:
    assert expected is judge(unknown(age), NOW, WINDOWS)


def test_a_stale_window_shorter_than_the_fresh_one_cuts_it_short() -> None:
    windows = Windows(fresh_ms=1000, stale_ms=500, negative_ms=0)
    assert FRESH is judge(known(499), NOW, windows)
    assert EXPIRED is judge(known(500), NOW, windows)


def test_windows_of_zero_serve_nothing() -> None:
    nothing = Windows(fresh_ms=0, stale_ms=0, negative_ms=0)
    assert EXPIRED is judge(known(0), NOW, nothing)
    assert EXPIRED is judge(unknown(0), NOW, nothing)


def test_a_fresh_window_of_zero_leaves_the_stale_one() -> None:
    assert STALE is judge(known(0), NOW, Windows(fresh_ms=0, stale_ms=1, negative_ms=0))


def test_an_entry_a_little_ahead_of_our_clock_is_new() -> None:
    assert FRESH is judge(known(-MAX_SKEW_MS), NOW, WINDOWS)
    assert age_ms(known(-MAX_SKEW_MS), NOW) == 0


def test_an_entry_far_ahead_of_our_clock_is_never_served() -> None:
    assert EXPIRED is judge(known(-MAX_SKEW_MS - 1), NOW, WINDOWS)
    assert EXPIRED is judge(unknown(-MAX_SKEW_MS - 1), NOW, WINDOWS)


def test_the_age_is_counted_from_fetched_at() -> None:
    assert age_ms(known(1234), NOW) == 1234


@pytest.mark.parametrize(("entry", "window"), [(known(0), 3_600_000), (unknown(0), 60_000)])
def test_an_entry_is_fresh_until_its_own_window_ends(entry: CacheEntry, window: int) -> None:
    assert NOW + window == fresh_until_ms(entry, WINDOWS)


# -- properties

moments = st.integers(min_value=0, max_value=4_102_444_800_000)
spans = st.integers(min_value=0, max_value=7 * 86_400_000)
windows = st.builds(Windows, fresh_ms=spans, stale_ms=spans, negative_ms=spans)
entries = st.builds(CacheEntry, fetched_at_ms=moments, document=st.sampled_from([b"{}", None]))
borders = st.integers(min_value=-2, max_value=2)


@given(entries, moments)
def test_no_age_is_ever_negative(entry: CacheEntry, now: int) -> None:
    assert age_ms(entry, now) >= 0


@given(entries, moments, windows)
def test_nothing_at_or_beyond_the_stale_window_is_ever_served(
    entry: CacheEntry, now: int, windows: Windows
) -> None:
    if entry.document is not None and now - entry.fetched_at_ms >= windows.stale_ms:
        assert EXPIRED is judge(entry, now, windows)


@given(windows, st.sampled_from(["fresh_ms", "stale_ms", "negative_ms"]), borders)
def test_around_every_border_the_windows_are_half_open(
    windows: Windows, border: str, step: int
) -> None:
    age = max(0, getattr(windows, border) + step)
    fresh = age < windows.fresh_ms and age < windows.stale_ms
    expected = FRESH if fresh else STALE if age < windows.stale_ms else EXPIRED
    assert expected is judge(known(age), NOW, windows)
    assert (FRESH if age < windows.negative_ms else EXPIRED) is judge(unknown(age), NOW, windows)


@given(entries, moments, windows)
def test_an_unknown_is_never_served_stale(entry: CacheEntry, now: int, windows: Windows) -> None:
    if entry.document is None:
        assert STALE is not judge(entry, now, windows)


@given(entries, moments, st.integers(min_value=0, max_value=10**9), windows)
def test_an_entry_within_our_clock_never_grows_younger(
    entry: CacheEntry, now: int, later: int, windows: Windows
) -> None:
    rank = [FRESH, STALE, EXPIRED].index
    if entry.fetched_at_ms <= now:
        assert rank(judge(entry, now, windows)) <= rank(judge(entry, now + later, windows))


@given(entries, windows)
def test_fresh_until_is_the_first_millisecond_that_is_not_fresh(
    entry: CacheEntry, windows: Windows
) -> None:
    until = fresh_until_ms(entry, windows)
    assert FRESH is not judge(entry, until, windows)
    if until > entry.fetched_at_ms:
        assert FRESH is judge(entry, until - 1, windows)


# -- refresh ahead

jitters = st.floats(min_value=0, max_value=1)


def due(age: int, jitter: float, windows: Windows = WINDOWS) -> bool:
    return refresh_due(known(age), NOW, windows, jitter)


@pytest.mark.parametrize(
    ("age", "jitter", "expected"),
    [
        (0, 1, False),
        (2_879_999, 1, False),
        (2_880_000, 1, True),
        (3_059_999, 0.5, False),
        (3_060_000, 0.5, True),
        (3_239_999, 0, False),
        (3_240_000, 0, True),
        (3_599_999, 0, True),
        (3_600_000, 0, False),
    ],
)
def test_an_hour_is_refreshed_in_its_last_six_to_twelve_minutes(
    age: int, jitter: float, *, expected: bool
) -> None:
    assert expected is due(age, jitter)


@pytest.mark.parametrize("jitter", [0.0, 1.0])
@pytest.mark.parametrize(
    ("window", "last"), [(600_000, 120_000), (240_000, 120_000), (180_000, 90_000), (2, 1)]
)
def test_a_short_window_is_refreshed_in_its_last_two_minutes_or_half(
    window: int, last: int, jitter: float
) -> None:
    windows = Windows(fresh_ms=window, stale_ms=86_400_000, negative_ms=0)
    assert not due(window - last - 1, jitter, windows)
    assert due(window - last, jitter, windows)


@given(entries, moments, windows, jitters)
def test_only_a_fresh_customer_is_ever_refreshed_ahead(
    entry: CacheEntry, now: int, windows: Windows, jitter: float
) -> None:
    if entry.document is None or judge(entry, now, windows) is not FRESH:
        assert not refresh_due(entry, now, windows, jitter)


@given(st.integers(0, 7 * 86_400_000), jitters)
def test_an_unknown_is_never_refreshed_ahead(age: int, jitter: float) -> None:
    windows = Windows(fresh_ms=age + 1, stale_ms=age + 1, negative_ms=age + 1)
    assert FRESH is judge(unknown(age), NOW, windows)
    assert not refresh_due(unknown(age), NOW, windows, jitter)


@given(windows, st.floats(min_value=0, max_value=1, exclude_max=True), jitters)
def test_the_last_tenth_is_always_due_and_the_first_half_never(
    windows: Windows, share: float, jitter: float
) -> None:
    window = min(windows.fresh_ms, windows.stale_ms)
    age = min(int(window * share), window - 1)
    if window - age <= window // 10:
        assert due(age, jitter, windows)
    if age < window / 2:
        assert not due(age, jitter, windows)


@given(st.integers(120_000, 7 * 86_400_000), jitters, st.integers(min_value=0, max_value=59_999))
def test_a_key_scanned_every_minute_is_refreshed_before_its_window_ends(
    window: int, jitter: float, first_scan: int
) -> None:
    windows = Windows(fresh_ms=window, stale_ms=window, negative_ms=0)
    last_scan = first_scan + (window - 1 - first_scan) // 60_000 * 60_000
    assert window - 60_000 <= last_scan < window
    assert due(last_scan, jitter, windows)


@given(windows, st.integers(0, 7 * 86_400_000), st.integers(0, 7 * 86_400_000), jitters)
def test_once_due_an_entry_stays_due_until_its_window_ends(
    windows: Windows, age: int, later: int, jitter: float
) -> None:
    if due(age, jitter, windows) and judge(known(age + later), NOW, windows) is FRESH:
        assert due(age + later, jitter, windows)


@given(windows, jitters, st.floats(min_value=0, max_value=1, exclude_max=True))
def test_below_an_age_nothing_is_refreshed_whatever_its_jitter(
    windows: Windows, jitter: float, share: float
) -> None:
    never_ms = never_refreshed_ms(windows)
    for age in (int(never_ms * share), never_ms - 1):
        assert age >= never_ms or not due(age, jitter, windows)


@given(windows)
def test_above_that_age_the_jitter_decides(windows: Windows) -> None:
    age = never_refreshed_ms(windows) + 1
    if judge(known(age), NOW, windows) is FRESH:
        assert due(age, 1.0, windows)
