"""One call to the directory: breaker, bulkhead, then attempts until one is final. No I/O.

Outcomes are values: a dead directory is an answer too.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from posstream.configuration import PluginConfiguration
from posstream.domain.lookup import Attempt, DirectoryAnswer, Reason
from posstream.metrics import Metrics
from posstream.ports import AttemptOutcome, CustomerDirectory
from posstream.resilience.breaker import Breaker, State
from posstream.resilience.bulkhead import Bulkhead
from posstream.resilience.clock import Clock
from posstream.resilience.retry import Backoff, RetryBudget

Noted = Callable[[Attempt], Awaitable[None]]


class DirectoryCall:
    """Calls to the directory under the rules that spare it."""

    def __init__(
        self,
        directory: CustomerDirectory,
        *,
        clock: Clock,
        metrics: Metrics,
        backoff: Backoff | None = None,
    ) -> None:
        self._directory = directory
        self._clock = clock
        self._metrics = metrics
        self._backoff = backoff or Backoff()
        self._budget = RetryBudget()
        self._bulkhead = Bulkhead()
        self._breaker: tuple[str, Breaker] | None = None
        metrics.api_calls_in_flight.set_function(lambda: self._bulkhead.inside)
        metrics.api_calls_queued.set_function(lambda: self._bulkhead.queued)
        metrics.breaker_state.set_function(self._state)

    def breaker(self, endpoint: str) -> Breaker:
        """The breaker of an endpoint. A new endpoint gets a new one; the old one's is dropped."""
        if self._breaker is None or self._breaker[0] != endpoint:
            self._breaker = (
                endpoint,
                Breaker(self._clock, changed=partial(self._changed, endpoint)),
            )
        return self._breaker[1]

    def idle(self, plan: PluginConfiguration) -> bool:
        """Whether a call that nobody waits for may be made now."""
        return self.breaker(plan.api_endpoint).state is State.CLOSED and self._bulkhead.idle(
            plan.max_concurrent_lookups
        )

    async def __call__(
        self,
        identifier: str,
        plan: PluginConfiguration,
        noted: Noted,
        traceparent: str | None = None,
    ) -> DirectoryAnswer:
        """Ask until the directory knows, does not know, or `retry_attempts` are used up.

        Args:
            identifier: normalised.
            plan: the configuration in force when the call started.
            noted: told of each attempt as soon as it ended (the audit trail).
            traceparent: sent along with each attempt.
        """
        breaker = self.breaker(plan.api_endpoint)
        give_up_at = self._clock.monotonic() + plan.deadline_seconds
        if not breaker.admits:
            return _circuit_open()
        if not await self._bulkhead.enter(plan.max_concurrent_lookups, plan.deadline_seconds):
            return DirectoryAnswer(
                (), reason=Reason.OVERLOADED, error_message="too many lookups wait already"
            )
        try:
            return await self._attempts(identifier, plan, breaker, noted, give_up_at, traceparent)
        finally:
            self._bulkhead.leave()

    async def _attempts(  # noqa: PLR0913 - what a call is made of
        self,
        identifier: str,
        plan: PluginConfiguration,
        breaker: Breaker,
        noted: Noted,
        give_up_at: float,
        traceparent: str | None,
    ) -> DirectoryAnswer:
        attempts: list[Attempt] = []
        last: AttemptOutcome | None = None
        while True:
            permit = breaker.admit()
            if permit is None:
                return _circuit_open() if last is None else _conclude(last, tuple(attempts))
            failed: bool | None = None
            try:
                last = await self._directory.attempt(
                    identifier,
                    endpoint=plan.api_endpoint,
                    timeout_seconds=plan.timeout_seconds,
                    number=len(attempts) + 1,
                    traceparent=traceparent,
                )
                failed = not last.healthy
            finally:
                permit.settle(failed=failed)
            attempts.append(last.attempt)
            self._metrics.api_calls.labels(last.attempt.status).inc()
            self._metrics.api_call_seconds.observe(last.attempt.duration_ms / 1000)
            await noted(last.attempt)
            if len(attempts) == 1:
                self._budget.earn()
            pause = self._backoff.pause_seconds(len(attempts), last.retry_after_seconds)
            if (
                not last.retryable
                or len(attempts) >= plan.retry_attempts
                or self._clock.monotonic() + pause >= give_up_at
                or not breaker.admits
                or not self._may_retry()
            ):
                return _conclude(last, tuple(attempts))
            await asyncio.sleep(pause)

    def _may_retry(self) -> bool:
        may = self._budget.spend()
        self._metrics.retries.labels("made" if may else "refused").inc()
        return may

    def _changed(self, endpoint: str, state: State) -> None:
        # A breaker that was dropped still hears of its last calls.
        if state is State.OPEN and self._breaker is not None and self._breaker[0] == endpoint:
            self._metrics.breaker_opened.inc()

    def _state(self) -> int:
        return State.CLOSED.value if self._breaker is None else self._breaker[1].state.value


def _circuit_open() -> DirectoryAnswer:
    return DirectoryAnswer(
        (),
        reason=Reason.CIRCUIT_OPEN,
        error_message="the directory failed too often and is left alone for a moment",
    )


def _conclude(outcome: AttemptOutcome, attempts: tuple[Attempt, ...]) -> DirectoryAnswer:
    if outcome.customer is not None:
        return DirectoryAnswer(attempts, customer=outcome.customer)
    return DirectoryAnswer(
        attempts,
        reason=outcome.reason or Reason.API_ERROR,
        error_message=outcome.attempt.error_message,
    )
