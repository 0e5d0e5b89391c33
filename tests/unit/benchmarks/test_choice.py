"""Whose identifiers the events of the benchmarks carry."""

from collections import Counter

from benchmarks.choice import asked_for, asked_for_most


def test_by_zipf_s_law_the_tenth_customer_comes_a_tenth_as_often_as_the_first() -> None:
    came = Counter(asked_for_most(number, 1_000) for number in range(100_000))
    assert 1.9 < came[0] / came[1] < 2.3
    assert 9 < came[0] / came[9] < 12.5
    assert set(came) <= set(range(1_000))
    assert len(came) > 900, "also those who come seldom"


def test_in_random_order_each_customer_comes_as_often() -> None:
    came = Counter(asked_for(number, 10) for number in range(100_000))
    assert max(came.values()) / min(came.values()) < 1.1
