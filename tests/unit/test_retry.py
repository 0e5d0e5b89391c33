from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posstream.resilience.retry import (
    RETRYABLE_STATUSES,
    Backoff,
    RetryBudget,
    growing_pauses,
    retry_after_seconds,
)

NOW_MS = 1_700_000_000_000  # Tue, 14 Nov 2023 22:13:20 GMT


def longest(_low: float, high: float) -> float:
    return high


def shortest(low: float, _high: float) -> float:
    return low


@pytest.mark.parametrize(
    ("failed", "expected"), [(1, 0.1), (2, 0.2), (3, 0.4), (4, 0.8), (5, 1.6), (6, 2.0), (50, 2.0)]
)
def test_the_longest_pause_doubles_up_to_the_cap(failed: int, expected: float) -> None:
    assert expected == pytest.approx(Backoff(uniform=longest).pause_seconds(failed))


def test_the_shortest_pause_is_none_at_all() -> None:
    assert Backoff(uniform=shortest).pause_seconds(5) == 0.0


def test_retry_after_is_a_floor_under_the_jitter() -> None:
    assert Backoff(uniform=shortest).pause_seconds(1, 3.0) == 3.0
    assert Backoff(uniform=longest).pause_seconds(1, 3.0) == pytest.approx(3.1)


@given(
    st.integers(min_value=1, max_value=100), st.none() | st.floats(min_value=0, max_value=86_400)
)
def test_a_pause_lies_between_retry_after_and_the_cap_on_top(
    failed: int, after: float | None
) -> None:
    floor = after or 0.0
    assert floor <= Backoff().pause_seconds(failed, after) <= floor + 2.0


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("1.5", None),
        ("٣", None),
        ("0", 0.0),
        ("3", 3.0),
        (" 120 ", 120.0),
        ("86400", 86_400.0),
        ("99999999", 86_400.0),
        ("9" * 5000, 86_400.0),
        ("Tue, 14 Nov 2023 22:13:25 GMT", 5.0),
        ("Tue, 14 Nov 2023 23:13:25 +0100", 5.0),
        ("Tue, 14 Nov 2023 22:13:25 -0000", 5.0),
        ("Tue, 14 Nov 2023 22:13:20 GMT", 0.0),
        ("Tue, 14 Nov 2023 22:13:00 GMT", 0.0),
        ("Wed, 99 Nov 2023 22:13:00 GMT", None),
        ("Tue, 14 Nov 99999999999999999999 22:13:25 GMT", None),
        ("Tue, 14 Nov 2023 22:13:25 +99999999999999", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_a_date(
    header: str | None, expected: float | None
) -> None:
    assert expected == retry_after_seconds(header, NOW_MS)


@given(st.text(max_size=60))
def test_no_header_breaks_the_reader(header: str) -> None:
    seconds = retry_after_seconds(header, NOW_MS)
    assert seconds is None or seconds >= 0.0


@given(
    st.from_regex(
        r"[A-Z][a-z]{2}, [0-9]{1,6} [JFMN][aoe][nbrv] [0-9]{1,6} [0-9:]{1,12}( [+-][0-9]{1,9})?"
    )
)
def test_nothing_like_a_date_breaks_the_reader(header: str) -> None:
    seconds = retry_after_seconds(header, NOW_MS)
    assert seconds is None or seconds >= 0.0


def test_only_passing_troubles_are_tried_again() -> None:
    assert frozenset({408, 429, 500, 502, 503, 504}) == RETRYABLE_STATUSES


def test_pauses_double_up_to_the_longest_and_never_end() -> None:
    assert list(islice(growing_pauses(0.5, 3), 6)) == [0.5, 1, 2, 3, 3, 3]
    assert next(islice(growing_pauses(), 10_000, None)) == 10


# -- the budget


def retries(budget: RetryBudget, times: int) -> int:
    """How many of so many retries may be made."""
    return sum(budget.spend() for _ in range(times))


def test_a_quiet_shop_may_retry_from_the_reserve() -> None:
    assert retries(RetryBudget(reserve=5), 100) == 5


def test_in_an_outage_retries_are_one_in_five_calls() -> None:
    budget = RetryBudget(share=0.2, reserve=5)
    made = 0
    for _ in range(1000):
        budget.earn()
        made += retries(budget, 1)
    assert 195 <= made <= 205


def test_more_attempts_for_each_call_make_no_more_retries() -> None:
    budget = RetryBudget(share=0.2, reserve=5)
    made = 0
    for _ in range(1000):
        budget.earn()
        made += retries(budget, 9)
    assert 195 <= made <= 205


def test_good_times_save_up_no_more_than_the_reserve() -> None:
    budget = RetryBudget(share=0.2, reserve=5)
    for _ in range(1000):
        budget.earn()
    assert retries(budget, 100) == 5


def test_a_share_of_nothing_leaves_the_reserve_alone() -> None:
    budget = RetryBudget(share=0, reserve=2)
    for _ in range(100):
        budget.earn()
    assert retries(budget, 100) == 2


@given(
    st.floats(min_value=0, max_value=1),
    st.integers(min_value=0, max_value=10),
    st.lists(st.booleans(), max_size=200),
)
def test_retries_are_never_more_than_their_share_and_the_reserve(
    share: float, reserve: int, first_attempts: list[bool]
) -> None:
    budget = RetryBudget(share=share, reserve=reserve)
    made = 0
    for first in first_attempts:
        if first:
            budget.earn()
        else:
            made += budget.spend()
    assert made <= share * sum(first_attempts) + reserve + 1e-6
