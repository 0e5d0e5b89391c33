from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posstream.resilience.clock import Clock

SECOND_NS = 1_000_000_000
START_NS = 1_700_000_000 * SECOND_NS
START_MS = START_NS // 1_000_000


@dataclass
class Machine:
    """A machine whose wall clock somebody may set."""

    wall_ns: int = START_NS
    monotonic_ns: int = 5 * SECOND_NS

    def clock(self) -> Clock:
        return Clock(wall_ns=lambda: self.wall_ns, monotonic_ns=lambda: self.monotonic_ns)

    def pass_seconds(self, seconds: float) -> None:
        self.wall_ns += round(seconds * SECOND_NS)
        self.monotonic_ns += round(seconds * SECOND_NS)

    def set_wall_clock(self, by_seconds: float) -> None:
        self.wall_ns += round(by_seconds * SECOND_NS)


def test_it_shows_the_wall_clock_in_milliseconds() -> None:
    machine = Machine()
    clock = machine.clock()
    assert clock.now_ms() == START_MS
    machine.pass_seconds(1.5)
    assert clock.now_ms() == START_MS + 1500


def test_it_never_goes_back_when_the_wall_clock_does() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.set_wall_clock(-3600)
    assert clock.now_ms() == START_MS


def test_after_a_step_back_it_keeps_the_pace_of_the_monotonic_clock() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.set_wall_clock(-3600)
    for seconds in range(1, 6):
        machine.pass_seconds(1)
        assert clock.now_ms() == START_MS + seconds * 1000


def test_time_passed_before_an_unseen_step_back_is_not_lost() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.pass_seconds(100)
    machine.set_wall_clock(-3600)
    assert clock.now_ms() == START_MS + 100_000


def test_it_follows_a_jump_forth() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.set_wall_clock(3600)
    assert clock.now_ms() == START_MS + 3_600_000


def test_a_jump_forth_that_was_seen_is_kept_when_the_wall_clock_is_set_right() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.set_wall_clock(3600)
    clock.now_ms()
    machine.set_wall_clock(-3600)
    machine.pass_seconds(1)
    assert clock.now_ms() == START_MS + 3_601_000


def test_after_a_step_back_it_follows_the_wall_clock_once_that_is_ahead_again() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.set_wall_clock(-10)
    clock.now_ms()
    machine.set_wall_clock(15)
    assert clock.now_ms() == START_MS + 5000


def test_the_monotonic_clock_is_in_seconds() -> None:
    assert Machine(monotonic_ns=1_500_000_000).clock().monotonic() == pytest.approx(1.5)


#: What the monotonic clock makes, how far the wall clock is set, whether somebody looks.
steps = st.lists(
    st.tuples(
        st.integers(0, 100 * SECOND_NS),
        st.just(0) | st.integers(-(10**15), 10**15),
        st.booleans(),
    ),
    max_size=50,
)


@given(steps)
def test_whoever_sets_the_clock_no_age_is_ever_too_young(
    steps: list[tuple[int, int, bool]],
) -> None:
    machine = Machine()
    clock = machine.clock()
    before_ms, before_ns = clock.now_ms(), machine.monotonic_ns
    for elapsed_ns, set_by_ns, looks in steps:
        machine.monotonic_ns += elapsed_ns
        machine.wall_ns += elapsed_ns + set_by_ns
        if not looks:
            continue
        now_ms = clock.now_ms()
        assert now_ms >= before_ms + (machine.monotonic_ns - before_ns) // 1_000_000
        assert now_ms >= machine.wall_ns // 1_000_000
        before_ms, before_ns = now_ms, machine.monotonic_ns


@given(st.lists(st.integers(0, 100 * SECOND_NS), max_size=50))
def test_if_nobody_sets_the_clock_it_is_the_wall_clock(elapsed: list[int]) -> None:
    machine = Machine()
    clock = machine.clock()
    for elapsed_ns in elapsed:
        machine.monotonic_ns += elapsed_ns
        machine.wall_ns += elapsed_ns
        assert clock.now_ms() == machine.wall_ns // 1_000_000
