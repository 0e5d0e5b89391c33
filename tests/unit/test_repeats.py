from posstream.resilience.repeats import Repeats
from tests.manual_clock import ManualClock


def test_only_the_first_of_a_kind_is_said_in_full() -> None:
    repeats: Repeats[str] = Repeats(ManualClock())
    assert [repeats.is_first(kind) for kind in "aaba"] == [True, False, True, False]


def test_the_others_are_counted_once_a_minute() -> None:
    clock = ManualClock()
    repeats: Repeats[str] = Repeats(clock)
    for kind in "aaab":
        repeats.is_first(kind)
    assert list(repeats.due()) == []
    clock.advance(60)
    assert list(repeats.due()) == [("a", 2)]
    repeats.is_first("a")
    assert list(repeats.due()) == []
    clock.advance(60)
    assert list(repeats.due()) == [("a", 1)]


def test_a_kind_that_did_not_come_for_a_minute_is_said_in_full_again() -> None:
    clock = ManualClock()
    repeats: Repeats[str] = Repeats(clock)
    repeats.is_first("a")
    clock.advance(60)
    assert (list(repeats.due()), repeats.is_first("a")) == ([], True)
