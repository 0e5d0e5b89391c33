"""One call to the directory: a place in the bulkhead, then attempts until one is final. No I/O.

Outcomes are values: a dead directory is an answer too.
"""

import asyncio
from collections.abc import Awaitable, Callable

from posstream.configuration import PluginConfiguration
from posstream.domain.lookup import Attempt, DirectoryAnswer, Reason
from posstream.ports import AttemptOutcome, CustomerDirectory
from posstream.resilience.retry import Backoff

Noted = Callable[[Attempt], Awaitable[None]]


class DirectoryCall:
    """Calls to the directory under the bulkhead and the retry rules."""

    def __init__(self, directory: CustomerDirectory, *, backoff: Backoff | None = None) -> None:
        self._directory = directory
        self._backoff = backoff or Backoff()
        self._in_flight = 0
        self._room = asyncio.Condition()

    async def __call__(
        self, identifier: str, plan: PluginConfiguration, noted: Noted
    ) -> DirectoryAnswer:
        """Ask until the directory knows, does not know, or `retry_attempts` are used up.

        Args:
            identifier: normalised.
            plan: the configuration in force when the call started.
            noted: told of each attempt as soon as it ended (the audit trail).
        """
        async with self._room:
            await self._room.wait_for(lambda: self._in_flight < plan.max_concurrent_lookups)
            self._in_flight += 1
        try:
            return await self._attempts(identifier, plan, noted)
        finally:
            async with self._room:
                self._in_flight -= 1
                self._room.notify()

    async def _attempts(
        self, identifier: str, plan: PluginConfiguration, noted: Noted
    ) -> DirectoryAnswer:
        attempts: list[Attempt] = []
        while True:
            outcome = await self._directory.attempt(
                identifier,
                endpoint=plan.api_endpoint,
                timeout_seconds=plan.timeout_seconds,
                number=len(attempts) + 1,
            )
            attempts.append(outcome.attempt)
            await noted(outcome.attempt)
            pause = self._backoff.pause_seconds(len(attempts), outcome.retry_after_seconds)
            last = not outcome.retryable or len(attempts) >= plan.retry_attempts
            if last or pause > plan.deadline_seconds:
                return _conclude(outcome, tuple(attempts))
            await asyncio.sleep(pause)


def _conclude(outcome: AttemptOutcome, attempts: tuple[Attempt, ...]) -> DirectoryAnswer:
    if outcome.customer is not None:
        return DirectoryAnswer(attempts, customer=outcome.customer)
    return DirectoryAnswer(
        attempts,
        reason=outcome.reason or Reason.API_ERROR,
        error_message=outcome.attempt.error_message,
    )
