from hypothesis import given
from hypothesis import strategies as st

from posstream.resilience.rate_limit import RateLimit
from tests.manual_clock import ManualClock


def test_it_may_happen_as_often_as_the_limit_says() -> None:
    rate = RateLimit(ManualClock(), 3, per_seconds=60)
    assert [rate.allows() for _ in range(5)] == [True, True, True, False, False]


def test_the_span_slides() -> None:
    clock = ManualClock()
    rate = RateLimit(clock, 2, per_seconds=60)
    assert rate.allows()
    clock.advance(40)
    assert rate.allows()
    clock.advance(19.999)
    assert not rate.allows()
    clock.advance(0.001)
    assert rate.allows(), "the first one left the span"
    assert not rate.allows(), "the second one did not"


def test_a_refusal_does_not_count() -> None:
    clock = ManualClock()
    rate = RateLimit(clock, 1, per_seconds=60)
    assert rate.allows()
    for _ in range(59):
        clock.advance(1)
        assert not rate.allows()
    clock.advance(1)
    assert rate.allows()


def test_a_limit_of_zero_allows_nothing() -> None:
    clock = ManualClock()
    rate = RateLimit(clock, 0, per_seconds=60)
    assert not rate.allows()
    clock.advance(3600)
    assert not rate.allows()


@given(st.integers(1, 5), st.integers(1, 10), st.lists(st.integers(0, 12), max_size=60))
def test_in_no_span_does_it_happen_more_often_and_never_is_it_refused_below(
    limit: int, per_seconds: int, pauses: list[int]
) -> None:
    clock = ManualClock()
    rate = RateLimit(clock, limit, per_seconds=per_seconds)
    allowed: list[float] = []
    for pause in pauses:
        clock.advance(pause)
        now = clock.monotonic()
        in_span = sum(1 for moment in allowed if moment > now - per_seconds)
        assert rate.allows() is (in_span < limit)
        if in_span < limit:
            allowed.append(now)


def test_the_wait_is_until_the_oldest_leaves_the_span() -> None:
    clock = ManualClock()
    rate = RateLimit(clock, 2, per_seconds=60)
    assert rate.wait_seconds == 0
    rate.allows()
    clock.advance(10)
    rate.allows()
    clock.advance(5)
    assert rate.wait_seconds == 45
