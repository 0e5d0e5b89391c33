import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from posstream.resilience.breaker import Breaker, Permit, Rules, State
from tests.manual_clock import ManualClock

CLOSED, HALF_OPEN, OPEN = State.CLOSED, State.HALF_OPEN, State.OPEN
RULES = Rules(window_seconds=30, recent=50, calls=10, failure_ratio=0.5, open_seconds=15, probes=3)


class Bench:
    """A breaker, its clock, and what it said of its changes."""

    def __init__(self, rules: Rules = RULES) -> None:
        self.clock = ManualClock()
        self.changes: list[State] = []
        self.reasons: list[str] = []
        self.breaker = Breaker(self.clock, rules=rules, changed=self.change)

    def change(self, state: State, why: str) -> None:
        self.changes.append(state)
        self.reasons.append(why)

    def settle(self, *, ok: int = 0, failed: int = 0, cancelled: int = 0) -> None:
        """Let calls through and settle each at once: the good ones first."""
        for outcome in [False] * ok + [True] * failed + [None] * cancelled:
            self.permit().settle(failed=outcome)

    def permit(self) -> Permit:
        permit = self.breaker.admit()
        assert permit is not None
        return permit

    def ask(self, times: int) -> list[Permit]:
        """The permits that so many at once are given."""
        permits = [self.breaker.admit() for _ in range(times)]
        return [permit for permit in permits if permit is not None]


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def opened(bench: Bench) -> Bench:
    bench.settle(failed=10)
    assert bench.breaker.state is OPEN
    return bench


@pytest.fixture
def half_open(opened: Bench) -> Bench:
    opened.clock.advance(15)
    assert opened.breaker.state is HALF_OPEN
    return opened


# -- when it opens


def test_a_new_breaker_lets_everything_through(bench: Bench) -> None:
    assert bench.breaker.state is CLOSED
    assert len(bench.ask(1000)) == 1000


@pytest.mark.parametrize(
    ("ok", "failed", "expected"),
    [
        (0, 9, CLOSED),
        (0, 10, OPEN),
        (5, 4, CLOSED),
        (5, 5, OPEN),
        (6, 4, CLOSED),
        (6, 5, CLOSED),
        (6, 6, OPEN),
        (25, 24, CLOSED),
        (25, 25, OPEN),
        (1000, 0, CLOSED),
    ],
)
def test_it_opens_with_enough_outcomes_and_enough_failures_among_them(
    bench: Bench, ok: int, failed: int, expected: State
) -> None:
    bench.settle(ok=ok, failed=failed)
    assert expected is bench.breaker.state


def test_a_busy_time_before_does_not_outvote_an_outage_that_just_began(bench: Bench) -> None:
    bench.settle(ok=10_000, failed=24)
    assert bench.breaker.state is CLOSED
    bench.settle(failed=1)
    assert bench.breaker.state is OPEN, "25 of the last 50 failed"


def test_a_directory_that_fails_less_than_half_the_time_stays_in_use(bench: Bench) -> None:
    for _ in range(100):
        bench.settle(failed=4, ok=5)
    assert bench.breaker.state is CLOSED


def test_the_rules_are_parameters() -> None:
    bench = Bench(Rules(window_seconds=5, calls=2, failure_ratio=1, open_seconds=1, probes=1))
    bench.settle(ok=1, failed=5)
    assert bench.breaker.state is CLOSED
    bench.clock.advance(6)
    bench.settle(failed=2)
    assert bench.breaker.state is OPEN
    bench.clock.advance(1)
    assert len(bench.ask(20)) == 1


def test_failures_that_left_the_window_do_not_count(bench: Bench) -> None:
    bench.settle(failed=9)
    bench.clock.advance(30)
    bench.settle(failed=9)
    assert bench.breaker.state is CLOSED
    bench.settle(failed=1)
    assert bench.breaker.state is OPEN


def test_failures_spread_over_the_window_count(bench: Bench) -> None:
    for _ in range(10):
        assert bench.breaker.state is CLOSED
        bench.settle(failed=1)
        bench.clock.advance(3)
    assert bench.breaker.state is OPEN


def test_failures_rarer_than_the_window_never_open_it(bench: Bench) -> None:
    for _ in range(100):
        bench.settle(failed=1)
        bench.clock.advance(3.5)
    assert bench.breaker.state is CLOSED


def test_successes_that_left_the_window_do_not_outweigh_new_failures(bench: Bench) -> None:
    bench.settle(ok=1000)
    bench.clock.advance(30)
    bench.settle(failed=10)
    assert bench.breaker.state is OPEN


def test_a_cancelled_call_counts_neither_as_a_call_nor_as_a_failure(bench: Bench) -> None:
    bench.settle(failed=9, cancelled=1000)
    assert bench.breaker.state is CLOSED
    bench.settle(failed=1)
    assert bench.breaker.state is OPEN


# -- open


def test_an_open_breaker_lets_nothing_through_for_its_time(opened: Bench) -> None:
    opened.clock.advance(14.999)
    assert opened.breaker.state is OPEN
    assert not opened.breaker.admits
    assert opened.ask(20) == []
    opened.clock.advance(0.001)
    assert opened.breaker.state is HALF_OPEN
    assert opened.breaker.admits


@pytest.mark.parametrize("failed", [True, False, None])
def test_a_call_from_before_it_opened_changes_nothing(bench: Bench, *, failed: bool | None) -> None:
    late = bench.ask(50)
    bench.settle(failed=10)
    for permit in late[:25]:
        permit.settle(failed=failed)
    assert bench.breaker.state is OPEN
    bench.clock.advance(15)
    probes = bench.ask(20)
    for permit in late[25:]:
        permit.settle(failed=failed)
    assert bench.breaker.state is HALF_OPEN
    assert (len(probes), bench.ask(20)) == (3, []), "a late outcome frees no probe's place"


# -- half open


def test_of_twenty_that_ask_at_once_three_may_probe(half_open: Bench) -> None:
    assert len(half_open.ask(20)) == 3
    assert not half_open.breaker.admits
    half_open.clock.advance(3600)
    assert half_open.ask(20) == [], "time alone frees no place"


def test_the_first_probe_that_succeeds_closes_it(half_open: Bench) -> None:
    first, *_ = half_open.ask(20)
    first.settle(failed=False)
    assert half_open.breaker.state is CLOSED
    assert len(half_open.ask(1000)) == 1000


def test_a_closed_breaker_starts_to_count_anew(half_open: Bench) -> None:
    half_open.settle(ok=1, failed=9)
    assert half_open.breaker.state is CLOSED
    half_open.settle(failed=1)
    assert half_open.breaker.state is OPEN


def test_a_probe_that_fails_opens_it_again_for_the_whole_time(half_open: Bench) -> None:
    (probe,) = half_open.ask(1)
    half_open.clock.advance(100)
    probe.settle(failed=True)
    half_open.clock.advance(14.999)
    assert half_open.breaker.state is OPEN
    half_open.clock.advance(0.001)
    assert len(half_open.ask(20)) == 3


def test_a_cancelled_probe_gives_its_place_back_and_decides_nothing(half_open: Bench) -> None:
    first, *_ = half_open.ask(20)
    first.settle(failed=None)
    assert half_open.breaker.state is HALF_OPEN
    assert len(half_open.ask(20)) == 1


def test_probes_that_fail_after_one_succeeded_do_not_count(half_open: Bench) -> None:
    good, *bad = half_open.ask(3)
    good.settle(failed=False)
    half_open.settle(failed=8)
    for probe in bad:
        probe.settle(failed=True)
    assert half_open.breaker.state is CLOSED


def test_a_probe_that_succeeds_after_one_failed_does_not_close_it(half_open: Bench) -> None:
    bad, good, later = half_open.ask(3)
    bad.settle(failed=True)
    good.settle(failed=False)
    assert half_open.breaker.state is OPEN
    half_open.clock.advance(15)
    assert len(half_open.ask(20)) == 3
    later.settle(failed=False)
    assert half_open.breaker.state is HALF_OPEN


# -- by hand


def test_held_open_it_stays_open_however_long(bench: Bench) -> None:
    bench.breaker.open()
    bench.clock.advance(86_400)
    assert bench.breaker.state is OPEN
    assert bench.breaker.held
    assert bench.ask(20) == []


def test_held_closed_it_stays_closed_whatever_fails(opened: Bench) -> None:
    opened.breaker.close()
    opened.settle(failed=1000)
    assert opened.breaker.state is CLOSED
    assert opened.breaker.held


@pytest.mark.parametrize("hold", [Breaker.open, Breaker.close])
def test_a_reset_ends_a_hold_and_goes_by_the_rules_again(bench: Bench, hold: object) -> None:
    assert callable(hold)
    bench.settle(failed=9)
    hold(bench.breaker)
    bench.breaker.reset()
    assert not bench.breaker.held
    bench.settle(failed=9)
    assert bench.breaker.state is CLOSED, "what was before is forgotten"
    bench.settle(failed=1)
    assert bench.breaker.state is OPEN
    bench.clock.advance(15)
    assert bench.breaker.state is HALF_OPEN


def test_a_probe_under_way_cannot_undo_a_hold(half_open: Bench) -> None:
    (probe, other) = half_open.ask(2)
    half_open.breaker.open()
    probe.settle(failed=False)
    assert half_open.breaker.state is OPEN
    half_open.breaker.close()
    other.settle(failed=True)
    assert half_open.breaker.state is CLOSED


# -- what it tells


def test_each_change_is_told_once(bench: Bench) -> None:
    bench.settle(failed=10)
    assert bench.changes == [OPEN]
    bench.clock.advance(15)
    bench.settle(failed=1)
    assert bench.changes == [OPEN, HALF_OPEN, OPEN]
    bench.clock.advance(15)
    bench.settle(ok=3)
    assert bench.changes == [OPEN, HALF_OPEN, OPEN, HALF_OPEN, CLOSED]


def test_a_hold_and_a_reset_are_told(bench: Bench) -> None:
    bench.breaker.open()
    bench.breaker.close()
    bench.breaker.reset()
    assert bench.changes == [OPEN, CLOSED, CLOSED]


# -- whatever happens


class AnyLife(RuleBasedStateMachine):
    """Calls, outcomes, time and hands in any order; late outcomes too."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.breaker = Breaker(self.clock, rules=RULES, changed=self.changed)
        self.permits: list[Permit] = []
        self.probing: list[Permit] = []

    def changed(self, _state: State, _why: str) -> None:
        self.probing = []  # whoever still probes belongs to an older era

    @rule(times=st.integers(1, 20))
    def ask(self, times: int) -> None:
        for _ in range(times):
            state, admits = self.breaker.state, self.breaker.admits
            permit = self.breaker.admit()
            assert admits is (permit is not None)
            if permit is None:
                assert state is OPEN or len(self.probing) == RULES.probes
                continue
            assert state is not OPEN
            self.permits.append(permit)
            if state is HALF_OPEN:
                self.probing.append(permit)

    @precondition(lambda self: self.permits)
    @rule(
        which=st.integers(0, 10_000),
        times=st.integers(1, 12),
        outcome=st.sampled_from([True, True, False, None]),
    )
    def settle(self, which: int, times: int, *, outcome: bool | None) -> None:
        for _ in range(min(times, len(self.permits))):
            permit = self.permits.pop(which % len(self.permits))
            if permit in self.probing:
                self.probing.remove(permit)
            permit.settle(failed=outcome)

    @rule(seconds=st.sampled_from([0.001, 1, 14.999, 15, 31]))
    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(hand=st.sampled_from([Breaker.open, Breaker.close, Breaker.reset, Breaker.reset]))
    def take_in_hand(self, hand: object) -> None:
        assert callable(hand)
        hand(self.breaker)

    @invariant()
    def probes_are_bounded(self) -> None:
        assert len(self.probing) <= RULES.probes
        if self.probing:
            assert self.breaker.state is HALF_OPEN


TestAnyLife = AnyLife.TestCase
TestAnyLife.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)
