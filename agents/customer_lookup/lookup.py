"""The use case: cache -> single flight -> directory -> fallback -> one terminal answer.

Each identification gets exactly one answer, in time; every failure of the directory is an answer,
too. No Kafka, no HTTP, no SQL.
"""

from collections.abc import Awaitable
from dataclasses import dataclass

from agents.customer_lookup.answers import (
    CustomerFound,
    DirectoryAnswer,
    Identification,
    LookupAnswer,
    LookupFailed,
)
from agents.customer_lookup.configuration import LookupConfiguration
from agents.customer_lookup.directory.call import overloaded
from agents.customer_lookup.fetching import Fetched, Fetching
from agents.customer_lookup.reasons import Reason, Source
from posstream.resilience.breaker import Breaker
from posstream.resilience.single_flight import Flight
from tables.customer_cache import CachePartition
from tables.freshness import CacheEntry, Freshness, age_ms, fresh_until_ms, judge

#: The call of an identifier, and whether the event leads it.
Boarded = tuple[Flight[Fetched], bool]


@dataclass(slots=True)  # not frozen: see `answers.Identification`
class Answered:
    """A terminal answer, and the audit records that must be safe before its input is done."""

    answer: LookupAnswer
    audited: tuple[Awaitable[None], ...] = ()


@dataclass(eq=False, kw_only=True)
class CustomerLookup(Fetching):
    """Answers identifications. `at_once` never waits; `lookup` may call the directory."""

    #: Whether an entry in use is fetched anew before its window ends.
    refreshes_ahead: bool = True

    @property
    def plan(self) -> LookupConfiguration:
        """The configuration in force."""
        return self.configuration.value

    def refuse(self, asked: Identification) -> LookupAnswer | None:
        """The answer to a refused identifier or while the plugin is off; None for all others."""
        plan = self.configuration.value
        if asked.refused is not None:
            reason, why = Reason.INVALID_IDENTIFIER, asked.refused
        elif not plan.enabled:
            reason, why = Reason.DISABLED, "the plugin is switched off"
        else:
            return None
        return LookupFailed(
            asked, reason, why, attempts=0, duration_ms=0, config_version=plan.version
        )

    def at_once(self, asked: Identification, cache: CachePartition) -> LookupAnswer | None:
        """The answer of the fresh window, if the cache has one. Never waits.

        A hot entry near the end of its window is fetched anew meanwhile, if there is room.
        """
        plan = self.configuration.value
        entry = cache.get(asked.identifier)
        if entry is None:
            return None
        now_ms = self.clock.now_ms()
        if judge(entry, now_ms, plan.windows) is not Freshness.FRESH:
            return None
        if self.refreshes_ahead:
            self.refresh_ahead(asked, cache, entry)
        return _of_entry(asked, entry, Source.CACHE, plan, now_ms)

    def breaker(self) -> tuple[str, Breaker]:
        """The endpoint in force, and this worker's breaker for it."""
        endpoint = self.configuration.value.api_endpoint
        return endpoint, self.call.breaker(endpoint)

    def board(self, asked: Identification, cache: CachePartition, consumed_at: float) -> Boarded:
        """Join or start the call for an event without waiting; see `lookup` and `join`."""
        flight, leads = self.join(asked, cache)
        flight.demand.add(consumed_at + self._deadline_seconds(asked))
        if not leads:
            self.metrics.coalesced.inc()
        return flight, leads

    async def lookup(
        self,
        asked: Identification,
        cache: CachePartition,
        *,
        consumed_at: float,
        boarded: Boarded | None = None,
    ) -> Answered:
        """The answer, at latest at the event's deadline.

        Args:
            asked: a readable identification.
            cache: the part of the cache that owns its identifier.
            consumed_at: monotonic seconds at which the event was taken.
            boarded: the result of `board`; None = look at configuration and cache first.
        """
        if boarded is None:
            at_once = self.refuse(asked) or self.at_once(asked, cache)
            if at_once is not None:
                return Answered(at_once)
            boarded = self.board(asked, cache, consumed_at)
        flight, leads = boarded
        try:
            fetched = await flight.result(self.left(asked, consumed_at))
        except TimeoutError:
            fetched = Fetched(self._late(flight, self._deadline_seconds(asked)))
        answer = self._answer(asked, cache, fetched, consumed_at)
        return Answered(answer, fetched.audited if leads else ())

    def _late(self, flight: Flight[Fetched], deadline_seconds: float) -> DirectoryAnswer:
        """The failure at an event's deadline, with its call still under way, or never begun."""
        if not flight.demand.begun:
            return overloaded()
        late = f"no answer from the directory within {deadline_seconds:g} s"
        return DirectoryAnswer((), reason=Reason.DEADLINE, error_message=late)

    def consumed_at(self, asked: Identification, taken_at: float) -> float:
        """From when an event's deadline counts, in monotonic seconds.

        For a rekeyed event, the time before its second take counts. If its deadline has already
        passed (a crash or a rebalance lay between), the deadline starts anew, as for any event that
        is delivered again: a late answer is worth more to the till than none.
        """
        if asked.taken_at_ms is None:
            return taken_at
        now = self.clock.monotonic()
        used = (self.clock.now_ms() - asked.taken_at_ms) / 1000
        return now - used if 0 <= used < self._deadline_seconds(asked) else taken_at

    def left(self, asked: Identification, consumed_at: float) -> float:
        """Seconds until an event's deadline; negative after it."""
        return consumed_at + self._deadline_seconds(asked) - self.clock.monotonic()

    def _deadline_seconds(self, asked: Identification) -> float:
        if asked.deadline_ms is not None:
            return asked.deadline_ms / 1000
        return self.plan.deadline_seconds

    def _answer(
        self, asked: Identification, cache: CachePartition, fetched: Fetched, consumed_at: float
    ) -> LookupAnswer:
        """The answer after a call: of the new entry, else of the stale window, else the failure.

        The stale window is that of stale-if-error (RFC 5861).
        """
        plan, now_ms = self.plan, self.clock.now_ms()
        attempts = len(fetched.answer.attempts)
        duration_ms = round((self.clock.monotonic() - consumed_at) * 1000)
        entry, source = fetched.entry, Source.API
        if entry is None and plan.fallback_to_cache_on_error:
            entry, source = cache.get(asked.identifier), Source.STALE_CACHE
            if entry is not None and (
                entry.document is None or judge(entry, now_ms, plan.windows) is Freshness.EXPIRED
            ):
                entry = None
        if entry is not None:
            return _of_entry(asked, entry, source, plan, now_ms, attempts, duration_ms)
        return LookupFailed(
            asked,
            fetched.answer.reason or Reason.API_ERROR,
            fetched.answer.error_message or "the directory could not answer",
            attempts,
            duration_ms,
            plan.version,
        )


def _of_entry(  # noqa: PLR0913 - an answer says all of this
    asked: Identification,
    entry: CacheEntry,
    source: Source,
    plan: LookupConfiguration,
    now_ms: int,
    attempts: int = 0,
    duration_ms: int = 0,
) -> LookupAnswer:
    """The answer with the customer of a cache entry, or NOT_FOUND if the entry says unknown."""
    if entry.document is None:
        why = "the directory does not know this identifier"
        return LookupFailed(
            asked, Reason.NOT_FOUND, why, attempts, duration_ms, plan.version, source
        )
    return CustomerFound(
        asked=asked,
        source=source,
        document=entry.document,
        fetched_at_ms=entry.fetched_at_ms,
        fresh_until_ms=fresh_until_ms(entry, plan.windows),
        age_ms=age_ms(entry, now_ms),
        attempts=attempts,
        duration_ms=duration_ms,
        config_version=plan.version,
    )
