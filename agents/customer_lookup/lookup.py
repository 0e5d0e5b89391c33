"""The use case: cache -> single flight -> directory -> fallback -> one terminal answer.

Each identification gets exactly one answer, in time; every failure of the directory is an answer,
too. No Kafka, no HTTP, no SQL.
"""

from collections.abc import Awaitable
from dataclasses import dataclass

from agents.customer_lookup.answers import (
    DirectoryAnswer,
    Identification,
    LookupAnswer,
    Reason,
    Source,
)
from agents.customer_lookup.configuration import LookupConfiguration
from agents.customer_lookup.directory.call import DirectoryCall, overloaded
from agents.customer_lookup.fetching import Fetched, Fetching
from agents.customer_lookup.metrics import LookupMetrics
from agents.customer_lookup.ports import CustomerCache
from agents.customer_lookup.refreshing import Refreshing
from agents.customer_lookup.terminal_answers import failed, of_entry
from posstream.configuration.current import CurrentConfiguration
from posstream.kafka.record import EventPublisher
from posstream.resilience.breaker import Breaker
from posstream.resilience.clock import Clock
from posstream.resilience.single_flight import Flight
from tables.freshness import Freshness, judge


@dataclass(frozen=True, slots=True)
class Answered:
    """A terminal answer, and the audit records that must be safe before its input is done."""

    answer: LookupAnswer
    audited: tuple[Awaitable[None], ...] = ()


class CustomerLookup:
    """Answers identifications. `at_once` never waits; `lookup` may call the directory."""

    def __init__(  # noqa: PLR0913 - the wiring names everything it gives
        self,
        *,
        call: DirectoryCall,
        configuration: CurrentConfiguration[LookupConfiguration],
        publisher: EventPublisher,
        clock: Clock,
        metrics: LookupMetrics,
        refresh_ahead: bool = True,
    ) -> None:
        self._call = call
        self._configuration = configuration
        self._clock = clock
        self._metrics = metrics
        #: Whether an entry in use is fetched anew before its window ends.
        self.refreshes_ahead = refresh_ahead
        self._fetching = Fetching(call=call, publisher=publisher, clock=clock, metrics=metrics)
        self._refreshing = Refreshing(
            self._fetching, call=call, configuration=configuration, clock=clock, metrics=metrics
        )
        self.forget = self._fetching.forget
        self.forget_prefix = self._fetching.forget_prefix
        self.drain = self._fetching.drain
        self.refresh = self._refreshing.by_command

    @property
    def plan(self) -> LookupConfiguration:
        """The configuration in force."""
        return self._configuration.value

    def refuse(self, asked: Identification) -> LookupAnswer | None:
        """The answer to a refused identifier or while the plugin is off; None for all others."""
        plan = self._configuration.value
        if asked.refused is not None:
            return failed(asked, Reason.INVALID_IDENTIFIER, asked.refused, plan)
        if not plan.enabled:
            return failed(asked, Reason.DISABLED, "the plugin is switched off", plan)
        return None

    def at_once(self, asked: Identification, cache: CustomerCache) -> LookupAnswer | None:
        """The answer of the fresh window, if the cache has one. Never waits.

        A hot entry near the end of its window is fetched anew meanwhile, if there is room.
        """
        plan = self._configuration.value
        entry = cache.get(asked.identifier)
        if entry is None:
            return None
        now_ms = self._clock.now_ms()
        if judge(entry, now_ms, plan.windows) is not Freshness.FRESH:
            return None
        if self.refreshes_ahead:
            self._refreshing.ahead(asked, cache, entry)
        return of_entry(asked, entry, Source.CACHE, plan, now_ms)

    def breaker(self) -> tuple[str, Breaker]:
        """The endpoint in force, and this worker's breaker for it."""
        endpoint = self._configuration.value.api_endpoint
        return endpoint, self._call.breaker(endpoint)

    async def lookup(
        self, asked: Identification, cache: CustomerCache, *, consumed_at: float
    ) -> Answered:
        """The answer, at latest at the event's deadline.

        Args:
            asked: a readable identification.
            cache: the part of the cache that owns its identifier.
            consumed_at: monotonic seconds at which the event was taken.
        """
        at_once = self.refuse(asked) or self.at_once(asked, cache)
        if at_once is not None:
            return Answered(at_once)
        deadline_seconds = self._deadline_seconds(asked)
        left = self.left(asked, consumed_at)
        flight, leads = self._fetching.join(asked, cache, lambda: self.plan)
        flight.demand.add(consumed_at + deadline_seconds)
        if not leads:
            self._metrics.coalesced.inc()
        try:
            fetched = await flight.result(left)
        except TimeoutError:
            failure = self._late(flight, deadline_seconds)
            return Answered(self._fall_back(asked, cache, failure, consumed_at))
        audited = fetched.audited if leads else ()
        if fetched.entry is None:
            return Answered(self._fall_back(asked, cache, fetched.answer, consumed_at), audited)
        return Answered(
            of_entry(
                asked,
                fetched.entry,
                Source.API,
                self.plan,
                self._clock.now_ms(),
                attempts=len(fetched.answer.attempts),
                duration_ms=self._since(consumed_at),
            ),
            audited,
        )

    def _late(self, flight: Flight[Fetched], deadline_seconds: float) -> DirectoryAnswer:
        """The failure at an event's deadline, with its call still under way, or never begun."""
        if not flight.demand.begun:
            return overloaded()
        late = f"no answer from the directory within {deadline_seconds:g} s"
        return DirectoryAnswer((), reason=Reason.DEADLINE, error_message=late)

    def consumed_at(self, asked: Identification, taken_at: float) -> float:
        """From when an event's deadline counts, in monotonic seconds.

        A rekeyed event keeps the time it has used before its second take. If that is more than
        its deadline (a crash or a rebalance lay between), it starts anew, like any event that is
        delivered again: a right answer late is worth more to the till than none.
        """
        if asked.taken_at_ms is None:
            return taken_at
        now = self._clock.monotonic()
        used = (self._clock.now_ms() - asked.taken_at_ms) / 1000
        return now - used if 0 <= used < self._deadline_seconds(asked) else taken_at

    def left(self, asked: Identification, consumed_at: float) -> float:
        """Seconds until an event's deadline; negative after it."""
        return consumed_at + self._deadline_seconds(asked) - self._clock.monotonic()

    def _deadline_seconds(self, asked: Identification) -> float:
        if asked.deadline_ms is not None:
            return asked.deadline_ms / 1000
        return self.plan.deadline_seconds

    def _fall_back(
        self,
        asked: Identification,
        cache: CustomerCache,
        failure: DirectoryAnswer,
        consumed_at: float,
    ) -> LookupAnswer:
        """Stale-if-error (RFC 5861): the stale window if there is one, else the failure."""
        plan = self.plan
        attempts, duration_ms = len(failure.attempts), self._since(consumed_at)
        now_ms = self._clock.now_ms()
        entry = cache.get(asked.identifier) if plan.fallback_to_cache_on_error else None
        if (
            entry is not None
            and entry.document is not None
            and judge(entry, now_ms, plan.windows) is not Freshness.EXPIRED
        ):
            return of_entry(
                asked,
                entry,
                Source.STALE_CACHE,
                plan,
                now_ms,
                attempts=attempts,
                duration_ms=duration_ms,
            )
        return failed(
            asked,
            failure.reason or Reason.API_ERROR,
            failure.error_message or "the directory could not answer",
            plan,
            attempts=attempts,
            duration_ms=duration_ms,
        )

    def _since(self, consumed_at: float) -> int:
        return round((self._clock.monotonic() - consumed_at) * 1000)
