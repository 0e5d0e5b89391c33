from posstream.resilience.recently import Recently
from tests.manual_clock import ManualClock


def test_what_happened_longer_ago_does_not_count() -> None:
    clock = ManualClock()
    recently = Recently(clock, 60)
    recently.add(3)
    clock.advance(59)
    recently.add()
    assert recently.count == 4
    clock.advance(2)
    assert recently.count == 1


def test_it_keeps_no_more_steps_than_it_counts_even_if_nobody_asks() -> None:
    clock = ManualClock()
    recently = Recently(clock, 60)
    for count in (0, 1) * 500:
        recently.add(count)
        clock.advance(1)
    assert len(recently._counts) <= 60
    assert recently.count == 30
