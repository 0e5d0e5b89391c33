"""A circuit breaker by recent outcomes and their failure ratio, with a bounded number of probes.

Own code: purgatory, aiobreaker, circuitbreaker, hyx and pybreaker all let 20 of 20 concurrent
half-open calls through, which is what a directory that just came back needs least.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from posstream.resilience.clock import Clock


class State(Enum):
    """Whether calls go through. The value is the one of the gauge `posstream_breaker_state`."""

    CLOSED = 0  #: all do
    HALF_OPEN = 1  #: a few, as probes
    OPEN = 2  #: none


@dataclass(frozen=True, slots=True)
class Rules:
    """When a breaker opens, and how it closes again. Made for a till: seconds, not minutes."""

    #: Outcomes older than this do not count.
    window_seconds: float = 30
    #: Nor any but the last so many: a busy hour must not outvote an outage that just began.
    recent: int = 50
    #: Fewer outcomes than this never open it.
    calls: int = 10
    failure_ratio: float = 0.5
    #: How long it stays open before probes are let through.
    open_seconds: float = 15
    #: Probes at a time; the first one that succeeds closes the breaker.
    probes: int = 3


class Permit:
    """Leave for one call. Settle it once; one that is never settled would hold a probe's place."""

    __slots__ = ("_breaker", "_era")

    def __init__(self, breaker: "Breaker", era: int) -> None:
        self._breaker = breaker
        self._era = era

    def settle(self, *, failed: bool | None) -> None:
        """Say how the call ended; None if nobody knows (it was cancelled)."""
        self._breaker._settled(self._era, failed)  # noqa: SLF001 - two classes, one thing


class Breaker:
    """One breaker. For one event loop."""

    def __init__(
        self,
        clock: Clock,
        *,
        rules: Rules | None = None,
        changed: Callable[[State], None] = lambda _: None,
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
        self._outcomes: deque[tuple[float, bool]] = deque(maxlen=self._rules.recent)

    @property
    def state(self) -> State:
        """The state now; an open one whose time is over counts as half open."""
        waited = self._clock.monotonic() - self._opened_at
        if self._state is State.OPEN and not self._held and waited >= self._rules.open_seconds:
            self._turn(State.HALF_OPEN)
        return self._state

    @property
    def held(self) -> bool:
        """Whether somebody holds it open or closed by hand."""
        return self._held

    @property
    def admits(self) -> bool:
        """Whether a call would get a permit now."""
        state = self.state
        return state is State.CLOSED or (
            state is State.HALF_OPEN and self._probes < self._rules.probes
        )

    def admit(self) -> Permit | None:
        """Leave for a call, or None."""
        if not self.admits:
            return None
        if self._state is State.HALF_OPEN:
            self._probes += 1
        return Permit(self, self._era)

    def open(self) -> None:
        """Let nothing through until `close` or `reset`."""
        self._held = True
        self._turn(State.OPEN)

    def close(self) -> None:
        """Let everything through, whatever fails, until `open` or `reset`."""
        self._held = True
        self._turn(State.CLOSED)

    def reset(self) -> None:
        """Forget what was and go by the rules again, closed."""
        self._held = False
        self._turn(State.CLOSED)

    def _settled(self, era: int, failed: bool | None) -> None:  # noqa: FBT001
        if era != self._era:
            return
        if self._state is State.HALF_OPEN:
            self._probes -= 1
            if failed is not None:
                self._turn(State.OPEN if failed else State.CLOSED)
        elif failed is not None and not self._held:
            self._count(failed=failed)

    def _count(self, *, failed: bool) -> None:
        now = self._clock.monotonic()
        self._outcomes.append((now, failed))
        while self._outcomes[0][0] <= now - self._rules.window_seconds:
            self._outcomes.popleft()
        calls = len(self._outcomes)
        failures = sum(outcome[1] for outcome in self._outcomes)
        if calls >= self._rules.calls and failures >= calls * self._rules.failure_ratio:
            self._turn(State.OPEN)

    def _turn(self, state: State) -> None:
        self._state = state
        self._era += 1
        self._probes = 0
        self._outcomes.clear()
        if state is State.OPEN:
            self._opened_at = self._clock.monotonic()
        self._changed(state)
