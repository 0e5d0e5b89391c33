"""The figures and drawings of the console."""

import pytest

from agents.customer_lookup.lookup_split import LookupSplit
from agents.customer_lookup.pages.overview import segments
from agents.customer_lookup.pages.samples import MAX_STEPS, Between, Sampler, read_sample
from tests.lookup_metrics import RegisteredMetrics
from tests.manual_clock import ManualClock
from web.console import numbers
from web.console.drawing import HEIGHT, WIDTH, sparkline


def test_between_two_samples_is_what_was_counted_in_that_time() -> None:
    metrics = RegisteredMetrics()
    metrics.answers.labels("CACHE", "NONE").inc(100)
    metrics.api_calls.labels("TIMEOUT").inc(7)
    first = read_sample(metrics, 10.0)
    metrics.answers.labels("CACHE", "NONE").inc(6)
    metrics.answers.labels("NONE", "TIMEOUT").inc(2)
    metrics.api_calls.labels("SUCCESS").inc(3)
    metrics.api_calls.labels("NOT_FOUND").inc(1)
    metrics.api_calls.labels("FAILED").inc(1)
    metrics.coalesced.inc(4)
    between = Between(first, read_sample(metrics, 14.0))
    assert between.split == LookupSplit(fresh=6, failed=2, hits=6)
    assert between.per_second(between.split.lookups) == 2.0
    assert (between.attempts, between.failures, between.coalesced) == (5, 1, 4)


def test_a_duration_is_estimated_within_its_bucket_and_only_of_that_time() -> None:
    metrics = RegisteredMetrics()
    for _ in range(50):
        metrics.api_call_seconds.observe(15)
    first = read_sample(metrics, 0.0)
    assert Between(first, first).duration_ms(0.5) is None
    for _ in range(10):
        metrics.api_call_seconds.observe(0.15)
    between = Between(first, read_sample(metrics, 2.0))
    # Ten in the bucket from 0.1 to 0.2 s: the fifth one is in its middle.
    assert between.duration_ms(0.5) == pytest.approx(150)
    assert between.duration_ms(0.95) == pytest.approx(195)


def test_what_took_longer_than_the_last_bound_is_at_least_the_bound() -> None:
    metrics = RegisteredMetrics()
    first = read_sample(metrics, 0.0)
    metrics.api_call_seconds.observe(60)
    assert Between(first, read_sample(metrics, 2.0)).duration_ms(0.95) == 20_000


def test_a_rate_needs_time_that_has_passed() -> None:
    sample = read_sample(RegisteredMetrics(), 3.0)
    assert Between(sample, sample).per_second(0) is None


async def test_a_sampler_keeps_five_minutes() -> None:
    metrics, clock = RegisteredMetrics(), ManualClock()
    sampler = Sampler(metrics, clock)
    for _ in range(MAX_STEPS + 50):
        clock.advance(2)
        metrics.answers.labels("API", "NONE").inc()
        sampler.take()
    assert len(sampler.steps) == MAX_STEPS
    assert (sampler.since().seconds, sampler.since().split.api) == (300, 150)
    assert (sampler.since(10).seconds, sampler.since(10).split.api) == (10, 5)


def test_a_line_ends_at_the_right_edge_and_its_highest_number_is_at_the_top() -> None:
    line = sparkline([0.0, None, 4.0], most=5)
    first, last = ([float(n) for n in place.split(",")] for place in line.points.split())
    assert first == [WIDTH / 2, HEIGHT - 1]
    assert last == [WIDTH, 1.0]
    assert line.highest == 4.0


def test_without_numbers_there_is_no_line() -> None:
    assert sparkline([None, None], most=5).points == ""
    assert sparkline([], most=5).points == ""


def test_the_bar_is_full_and_its_segments_touch() -> None:
    drawn = segments(LookupSplit(fresh=50, api=25, failed=25))
    assert sum(segment.width for segment in drawn) == 100
    assert [(s.label, s.start, s.width) for s in drawn if s.count] == [
        ("fresh", 0, 50),
        ("API", 50, 25),
        ("failed", 75, 25),
    ]
    assert [segment.share for segment in segments(LookupSplit())] == [None] * 5


@pytest.mark.parametrize(
    ("ratio", "shown"),
    [
        (None, "-"),
        (0, "0 %"),
        (0.00001, "0.1 %"),
        (0.984, "98.4 %"),
        (0.9999, "99.9 %"),
        (1, "100 %"),
    ],
)
def test_a_share_is_all_or_nothing_only_if_it_is(ratio: float | None, shown: str) -> None:
    assert numbers.percent(ratio) == shown


def test_numbers_are_short() -> None:
    assert [numbers.whole(12_345), numbers.whole(None)] == ["12,345", "-"]
    rates = [numbers.rate(number) for number in (0, 0.02, 0.42, 1240.4, None)]
    assert rates == ["0", "< 0.1", "0.4", "1,240", "-"]
    assert [numbers.duration_ms(14.2), numbers.duration_ms(1234), numbers.duration_ms(None)] == [
        "14 ms",
        "1.2 s",
        "-",
    ]
