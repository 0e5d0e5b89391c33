"""Makes calls to the directory fail on purpose while an outage drill runs, and marks them."""

import asyncio
import dataclasses
import random
from collections.abc import Awaitable, Callable

from agents.customer_lookup.answers import (
    Attempt,
    AttemptOutcome,
    AttemptRequest,
    CustomerDirectory,
)
from agents.customer_lookup.drills.drill import DRILL_MARK, Drill, Fault
from agents.customer_lookup.reasons import AttemptStatus, Reason
from posstream.resilience.clock import Clock

_UNAVAILABLE = 503


@dataclasses.dataclass(eq=False, kw_only=True)
class DrilledDirectory:
    """`CustomerDirectory` that delays or fails calls while a drill runs, else asks the real one.

    Args:
        directory: the real one; it is asked unless the drill makes a call fail.
        running: the drill that runs now.
        clock: time.
        chance: draws a number from 0 up to but not including 1.
        sleep: waits some seconds.
    """

    directory: CustomerDirectory
    running: Callable[[], Drill | None]
    clock: Clock
    chance: Callable[[], float] = random.random
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def attempt(self, asked: AttemptRequest) -> AttemptOutcome:
        """Ask once; see `CustomerDirectory.attempt`."""
        drill = self.running()
        if drill is None:
            return await self.directory.attempt(asked)
        started_at_ms, started = self.clock.now_ms(), self.clock.monotonic()

        def failed(status: AttemptStatus, reason: Reason, error: str) -> AttemptOutcome:
            return AttemptOutcome(
                Attempt(
                    number=asked.number,
                    api_endpoint=asked.endpoint,
                    requested_at_ms=started_at_ms,
                    responded_at_ms=self.clock.now_ms(),
                    duration_ms=self._since(started),
                    status=status,
                    http_status=_UNAVAILABLE if status is AttemptStatus.FAILED else None,
                    error_message=DRILL_MARK + error,
                ),
                reason=reason,
                retryable=True,
                healthy=False,
            )

        late_seconds = 0.0
        if drill.strikes(started_at_ms, self.chance()):
            if drill.fault is Fault.ERRORS:
                error = f"HTTP status {_UNAVAILABLE}"
                return failed(AttemptStatus.FAILED, Reason.API_ERROR, error)
            late_seconds = drill.milliseconds / 1000
            if drill.fault is Fault.TIMEOUTS or late_seconds >= asked.timeout_seconds:
                await self.sleep(asked.timeout_seconds)
                error = f"no answer within {asked.timeout_seconds:g} s"
                return failed(AttemptStatus.TIMEOUT, Reason.TIMEOUT, error)
            await self.sleep(late_seconds)
        left_seconds = asked.timeout_seconds - late_seconds
        outcome = await self.directory.attempt(
            dataclasses.replace(asked, timeout_seconds=left_seconds)
        )
        if not late_seconds:
            return outcome
        cause = outcome.attempt.error_message
        marked = dataclasses.replace(
            outcome.attempt,
            # For the caller the delay is a part of the call; `requested_at` stays.
            duration_ms=self._since(started),
            error_message=f"{DRILL_MARK}{late_seconds:g} s late" + (f"; {cause}" if cause else ""),
        )
        return dataclasses.replace(outcome, attempt=marked)

    def _since(self, started: float) -> int:
        return round((self.clock.monotonic() - started) * 1000)
