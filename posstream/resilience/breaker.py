"""Circuit breaker: opens at a failure ratio of recent calls, and probes with a few calls.

Own code: purgatory, aiobreaker, circuitbreaker, hyx and pybreaker all let 20 of 20 concurrent
half-open calls through, which is what a directory that just came back needs least.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from posstream.resilience.clock import Clock


class State(Enum):
    """Whether calls go through. The value is the one of the gauge `posstream_breaker_state`."""

    CLOSED = 0  #: all calls
    HALF_OPEN = 1  #: a few calls, as probes
    OPEN = 2  #: no calls


@dataclass(frozen=True, slots=True)
class Rules:
    """When a breaker opens, and how it closes again. Made for a till: seconds, not minutes."""

    #: Outcomes older than this do not count.
    window_seconds: float = 30
    #: At most this many outcomes count: a busy hour must not outvote an outage that just began.
    recent: int = 50
    #: Fewer outcomes than this never open it.
    calls: int = 10
    failure_ratio: float = 0.5
    #: How long it stays open before probes are let through.
    open_seconds: float = 15
    #: Probes at a time; the first one that succeeds closes the breaker.
    probes: int = 3


_BY_HAND: Final = "by hand"


class Permit:
    """Permission for one call. Settle each permit once: an unsettled one keeps a probe's place."""

    __slots__ = ("_breaker", "_era")

    def __init__(self, breaker: "Breaker", era: int) -> None:
        self._breaker = breaker
        self._era = era

    def settle(self, *, failed: bool | None) -> None:
        """Report how the call ended; None if unknown, because it was cancelled."""
        self._breaker._settled(self._era, failed)  # noqa: SLF001 - two classes, one thing


class Breaker:
    """One breaker. For one event loop.

    Args:
        clock: time.
        rules: when it opens and closes.
        changed: called after each change of state, with the reason.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        rules: Rules | None = None,
        changed: Callable[[State, str], None] = lambda _state, _why: None,
    ) -> None:
        self._clock = clock
        self._rules = rules or Rules()
        self._changed = changed
        self._state = State.CLOSED
        #: Grows with each change of state: an outcome counts only in the era of its permit.
        self._era = 0
        self._held = False
        self._opened_at = 0.0
        self._probes = 0
        #: (when, whether it failed), oldest first.
        self._outcomes: deque[tuple[float, bool]] = deque()
        #: How many of them failed.
        self._failures = 0

    @property
    def state(self) -> State:
        """The state now; an open breaker becomes half open after `open_seconds`."""
        if self._state is State.OPEN and not self._held:
            waited = self._clock.monotonic() - self._opened_at
            if waited >= self._rules.open_seconds:
                self._change_to(State.HALF_OPEN, f"{waited:.0f} s have passed")
        return self._state

    @property
    def held(self) -> bool:
        """Whether an operator holds the breaker open or closed."""
        return self._held

    @property
    def admits(self) -> bool:
        """Whether a call would get a permit now."""
        state = self.state
        return state is State.CLOSED or (
            state is State.HALF_OPEN and self._probes < self._rules.probes
        )

    def admit(self) -> Permit | None:
        """A permit for one call; None while the breaker refuses calls."""
        if not self.admits:
            return None
        if self._state is State.HALF_OPEN:
            self._probes += 1
        return Permit(self, self._era)

    def open(self) -> None:
        """Refuse every call until `close` or `reset`."""
        self._held = True
        self._change_to(State.OPEN, _BY_HAND)

    def close(self) -> None:
        """Admit every call, however many fail, until `open` or `reset`."""
        self._held = True
        self._change_to(State.CLOSED, _BY_HAND)

    def reset(self) -> None:
        """Close the breaker, drop all outcomes, and follow the rules again."""
        self._held = False
        self._change_to(State.CLOSED, _BY_HAND)

    def _settled(self, era: int, failed: bool | None) -> None:  # noqa: FBT001
        if era != self._era:
            return
        if self._state is State.HALF_OPEN:
            self._probes -= 1
            if failed is not None:
                if failed:
                    self._change_to(State.OPEN, "a probe failed")
                else:
                    self._change_to(State.CLOSED, "a probe succeeded")
        elif failed is not None and not self._held:
            self._count(failed=failed)

    def _count(self, *, failed: bool) -> None:
        now = self._clock.monotonic()
        rules, outcomes = self._rules, self._outcomes
        outcomes.append((now, failed))
        self._failures += failed
        while len(outcomes) > rules.recent or outcomes[0][0] <= now - rules.window_seconds:
            self._failures -= outcomes.popleft()[1]
        calls = len(outcomes)
        if calls >= rules.calls and self._failures >= calls * rules.failure_ratio:
            self._change_to(State.OPEN, f"{self._failures} of the last {calls} calls failed")

    def _change_to(self, state: State, why: str) -> None:
        self._state = state
        self._era += 1
        self._probes = 0
        self._outcomes.clear()
        self._failures = 0
        if state is State.OPEN:
            self._opened_at = self._clock.monotonic()
        self._changed(state, why)
