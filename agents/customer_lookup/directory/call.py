"""One call to the directory: breaker, bulkhead, then attempts until one is final. No I/O.

Outcomes are values: a dead directory is an answer too.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import partial
from typing import Final

from agents.customer_lookup.answers import (
    Attempt,
    AttemptOutcome,
    AttemptRequest,
    CustomerDirectory,
    DirectoryAnswer,
)
from agents.customer_lookup.configuration import LookupConfiguration
from agents.customer_lookup.directory.breaker_log import BreakerLog
from agents.customer_lookup.metrics import LookupMetrics
from agents.customer_lookup.reasons import AttemptStatus, Reason
from posstream.resilience.breaker import Breaker, State
from posstream.resilience.bulkhead import Bulkhead
from posstream.resilience.clock import Clock
from posstream.resilience.demand import Demand
from posstream.resilience.rate_limit import RateLimit
from posstream.resilience.retry import Backoff, RetryBudget
from posstream.tracing.spans import Attributes, Kind, Span
from posstream.tracing.starting import tracer

log = logging.getLogger(__name__)

Noted = Callable[[Attempt], Awaitable[None]]

#: Least time between two log lines with one reason why lookups are not tried again.
_SILENT_SECONDS: Final = 60


class _NoRetry(StrEnum):
    """Why posstream, not the directory, ended the attempts before `retry_attempts` were made."""

    DEADLINE = "the deadline would pass before another attempt"
    BREAKER = "the circuit breaker is open"
    BUDGET = "the retry budget is used up, because too many lookups failed lately"


@dataclass(eq=False)
class DirectoryCall:
    """Calls the directory within the limits of breaker, bulkhead and retry budget."""

    directory: CustomerDirectory
    clock: Clock
    metrics: LookupMetrics
    backoff: Backoff = field(default_factory=Backoff)

    def __post_init__(self) -> None:
        clock, metrics = self.clock, self.metrics
        self._budget = RetryBudget()
        self._bulkhead = Bulkhead(clock)
        self._said = {why: RateLimit(clock, 1, per_seconds=_SILENT_SECONDS) for why in _NoRetry}
        self._breaker: tuple[str, Breaker] | None = None
        self._breaker_log = BreakerLog(clock)
        metrics.api_calls_in_flight.set_function(lambda: self._bulkhead.inside)
        metrics.api_calls_queued.set_function(lambda: self._bulkhead.queued)
        metrics.breaker_state.set_function(self._state)

    def breaker(self, endpoint: str) -> Breaker:
        """The breaker of an endpoint. A new endpoint gets a new one; the old one's is dropped.

        If an operator holds the old one by hand, the new one is held the same way.
        """
        if self._breaker is None or self._breaker[0] != endpoint:
            breaker = Breaker(self.clock, changed=partial(self._changed, endpoint))
            before, self._breaker = self._breaker, (endpoint, breaker)
            if before is not None and before[1].held:
                (breaker.open if before[1].state is State.OPEN else breaker.close)()
        return self._breaker[1]

    @property
    def is_open(self) -> bool:
        """Whether the breaker of the endpoint in force refuses calls."""
        return self._state() == State.OPEN.value

    def idle(self, plan: LookupConfiguration) -> bool:
        """Whether there is room for a call that no event waits for."""
        return self.breaker(plan.api_endpoint).state is State.CLOSED and self._bulkhead.idle(
            plan.max_concurrent_lookups
        )

    def follow(self, plan: LookupConfiguration) -> None:
        """Apply a new version of the configuration; calls that wait may start now."""
        self._bulkhead.resize(plan.max_concurrent_lookups)

    async def __call__(
        self,
        identifier: str,
        current: Callable[[], LookupConfiguration],
        noted: Noted,
        demand: Demand,
        traceparent: str | None = None,
    ) -> DirectoryAnswer:
        """Ask until the directory knows, does not know, or `retry_attempts` are used up.

        Args:
            identifier: normalised.
            current: gives the configuration in force: a call that had to wait uses the newest one.
            noted: gets each attempt as soon as it ended, for the audit trail.
            demand: the deadlines by which the answer is wanted.
            traceparent: sent along with each attempt.
        """
        plan = current()
        give_up_at = self.clock.monotonic() + plan.deadline_seconds
        if not self.breaker(plan.api_endpoint).admits:
            return _circuit_open()
        if not await self._bulkhead.enter(plan.max_concurrent_lookups, demand):
            return overloaded()
        entered_at = self.clock.monotonic()
        answer: DirectoryAnswer | None = None
        try:
            answer = await self._attempts(
                identifier, current, noted, demand, give_up_at, traceparent
            )
            return answer
        finally:
            asked = answer is not None and answer.attempts
            self._bulkhead.leave(self.clock.monotonic() - entered_at if asked else None)

    async def _attempts(  # noqa: PLR0913 - what a call is made of
        self,
        identifier: str,
        current: Callable[[], LookupConfiguration],
        noted: Noted,
        demand: Demand,
        give_up_at: float,
        traceparent: str | None,
    ) -> DirectoryAnswer:
        attempts: list[Attempt] = []
        last: AttemptOutcome | None = None
        while True:
            plan = current()
            breaker = self.breaker(plan.api_endpoint)
            permit = breaker.admit()
            if permit is None:
                if last is None:
                    return _circuit_open()
                return _conclude(self._ended(last, _NoRetry.BREAKER), tuple(attempts))
            number = len(attempts) + 1
            failed: bool | None = None
            about: Attributes = {"http.request.method": "GET", "posstream.attempt": number}
            span = tracer().span("GET customer", Kind.CLIENT, traceparent, about)
            try:
                asked = AttemptRequest(
                    identifier, plan.api_endpoint, plan.timeout_seconds, number, span.traceparent
                )
                last = await self.directory.attempt(asked)
                failed = not last.healthy
            finally:
                permit.settle(failed=failed)
                _end(span, last if failed is not None else None)
            self.metrics.called(last.attempt.status, last.attempt.duration_ms / 1000)
            if number == 1:
                self._budget.earn()
            pause = 0.0
            is_final = not last.retryable or number >= plan.retry_attempts
            if not is_final:
                pause = self.backoff.pause_seconds(number, last.retry_after_seconds)
                over_at = max(give_up_at, demand.last)
                why_not = self._why_not_again(breaker, pause, over_at)
                if why_not is not None:
                    last, is_final = self._ended(last, why_not), True
            attempts.append(last.attempt)
            await noted(last.attempt)
            if is_final:
                return _conclude(last, tuple(attempts))
            await asyncio.sleep(pause)

    def _why_not_again(self, breaker: Breaker, pause: float, over_at: float) -> _NoRetry | None:
        if self.clock.monotonic() + pause >= over_at:
            return _NoRetry.DEADLINE
        if not breaker.admits:
            return _NoRetry.BREAKER
        may_retry = self._budget.spend()
        self.metrics.retries.labels("made" if may_retry else "refused").inc()
        return None if may_retry else _NoRetry.BUDGET

    def _ended(self, last: AttemptOutcome, why: _NoRetry) -> AttemptOutcome:
        """The last outcome, with the reason added why there was no other attempt."""
        if self._said[why].allows():
            log.warning("failed lookups are not tried again: %s", why)
        said = f"{last.attempt.error_message or 'no answer'}; not tried again: {why}"
        return replace(last, attempt=replace(last.attempt, error_message=said))

    def _changed(self, endpoint: str, state: State, why: str) -> None:
        # A dropped breaker still gets the outcomes of its last calls.
        if self._breaker is None or self._breaker[0] != endpoint:
            return
        if state is State.OPEN:
            self.metrics.breaker_opened.inc()
        self._breaker_log.changed(state, why)

    def _state(self) -> int:
        return State.CLOSED.value if self._breaker is None else self._breaker[1].state.value


def overloaded() -> DirectoryAnswer:
    """The answer to a lookup whose call could not start in time (bulkhead)."""
    return DirectoryAnswer(
        (),
        reason=Reason.OVERLOADED,
        error_message="more lookups wait than the directory can answer before their deadlines",
    )


def _end(span: Span, outcome: AttemptOutcome | None) -> None:
    """End the span of an attempt; None: it was cancelled."""
    if outcome is None:
        span.end(failed="cancelled")
        return
    attempt = outcome.attempt
    status = attempt.http_status
    about = {} if status is None else {"http.response.status_code": status}
    found = attempt.status in (AttemptStatus.SUCCESS, AttemptStatus.NOT_FOUND)
    span.end(about, failed=None if found else attempt.status.value)


def _circuit_open() -> DirectoryAnswer:
    return DirectoryAnswer(
        (),
        reason=Reason.CIRCUIT_OPEN,
        error_message="the directory failed too often; it is not called for some seconds",
    )


def _conclude(outcome: AttemptOutcome, attempts: tuple[Attempt, ...]) -> DirectoryAnswer:
    if outcome.customer is not None:
        return DirectoryAnswer(attempts, customer=outcome.customer)
    return DirectoryAnswer(
        attempts,
        reason=outcome.reason or Reason.API_ERROR,
        error_message=outcome.attempt.error_message,
    )
