"""The use case: cache -> single flight -> directory -> fallback -> one terminal answer.

It decides and counts nothing twice: each identification gets exactly one answer, in time, and
whatever happens out there is an answer too. No Kafka, no HTTP, no SQL.
"""

import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final
from zlib import crc32

from msgspec import structs

from agents.customer_lookup.answers import (
    Attempt,
    CustomerFound,
    DirectoryAnswer,
    Identification,
    LookupAnswer,
    LookupFailed,
    Reason,
    Source,
)
from agents.customer_lookup.cache_commands import Refresh
from agents.customer_lookup.configuration import LookupConfiguration
from agents.customer_lookup.directory.call import DirectoryCall, overloaded
from agents.customer_lookup.events.writing import attempted
from agents.customer_lookup.metrics import LookupMetrics
from agents.customer_lookup.ports import CustomerCache
from posstream.configuration.current import CurrentConfiguration
from posstream.domain.customer import TIERS
from posstream.domain.errors import StorageFailed
from posstream.domain.identifier import known
from posstream.json.writing import write_json
from posstream.kafka.record import EventPublisher
from posstream.resilience.breaker import Breaker
from posstream.resilience.clock import Clock
from posstream.resilience.single_flight import Flight, SingleFlight
from tables.freshness import (
    CacheEntry,
    Freshness,
    age_ms,
    fresh_until_ms,
    judge,
    refresh_due,
)

#: How long after a failure an entry is not refreshed ahead again.
_REFRESH_PAUSE_SECONDS: Final = 60
_MOST_FAILED_REFRESHES: Final = 10_000


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a flight brought: the directory's answer, the entry made of it, the audit's acks."""

    answer: DirectoryAnswer
    entry: CacheEntry | None
    audited: tuple[Awaitable[None], ...]


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
        self._publisher = publisher
        self._clock = clock
        self._metrics = metrics
        self._refresh_ahead = refresh_ahead
        self._flights: SingleFlight[str, Fetched] = SingleFlight()
        #: Until when an identifier is not refreshed ahead again, in monotonic seconds.
        self._failed_refreshes: dict[str, float] = {}

    @property
    def plan(self) -> LookupConfiguration:
        """The configuration in force."""
        return self._configuration.value

    @property
    def queued(self) -> int:
        """How many calls wait for a place."""
        return self._call.queued

    @property
    def refreshes_ahead(self) -> bool:
        """Whether an entry in use is fetched anew before its window ends."""
        return self._refresh_ahead

    def refuse(self, asked: Identification) -> LookupAnswer | None:
        """The answer that needs neither cache nor directory, if there is one."""
        plan = self._configuration.value
        if asked.refused is not None:
            return _failed(asked, Reason.INVALID_IDENTIFIER, asked.refused, plan)
        if not plan.enabled:
            return _failed(asked, Reason.DISABLED, "the plugin is switched off", plan)
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
        if self._refresh_ahead:
            jitter = (crc32(asked.identifier.encode()) ^ entry.fetched_at_ms) % 1000 / 1000
            if refresh_due(entry, now_ms, plan.windows, jitter):
                self._refresh(asked, cache, plan)
        return _of_entry(asked, entry, Source.CACHE, plan, now_ms)

    def _refresh(
        self, asked: Identification, cache: CustomerCache, plan: LookupConfiguration
    ) -> None:
        now = self._clock.monotonic()
        if (
            asked.identifier in self._flights
            or self._failed_refreshes.get(asked.identifier, 0) > now
        ):
            return
        if not self._call.idle(plan):
            self._metrics.refreshes_ahead.labels("skipped").inc()
            return
        started_at_ms = self._clock.now_ms()

        def once() -> LookupConfiguration:
            return structs.replace(self.plan, retry_attempts=1)

        async def fetch(flight: Flight[Fetched]) -> Fetched:
            outcome = "failed"
            try:
                fetched = await self._fetch(asked, cache, once, flight, started_at_ms)
                for audited in fetched.audited:
                    await audited
                if fetched.entry is not None:
                    outcome = "refreshed"
            finally:
                self._metrics.refreshes_ahead.labels(outcome).inc()
                if outcome == "failed":
                    self._leave_alone(asked.identifier)
            return fetched

        self._call_unasked(asked.identifier, fetch)

    def refresh(self, command: Refresh, cache: CustomerCache) -> None:
        """Fetch an identifier anew, whatever the cache has. Nobody waits for the outcome.

        A call that is under way is as good.
        """
        plan = self._configuration.value
        found = known(command.identifier)
        if not plan.enabled or found is None:
            return
        now_ms = self._clock.now_ms()
        asked = Identification(command.lookup_id, "", found.value, found.kind, now_ms)

        async def fetch(flight: Flight[Fetched]) -> Fetched:
            fetched = await self._fetch(asked, cache, lambda: self.plan, flight, now_ms)
            for audited in fetched.audited:
                await audited
            return fetched

        self._call_unasked(asked.identifier, fetch)

    def _call_unasked(
        self, identifier: str, fetch: Callable[[Flight[Fetched]], Awaitable[Fetched]]
    ) -> None:
        """Make a call that no event waits for, unless one runs; calls for events go first."""
        flight, leads = self._flights.join(identifier, fetch)
        if leads:
            flight.demand.last = self._clock.monotonic() + self.plan.deadline_seconds

    def _leave_alone(self, identifier: str) -> None:
        # Not at every hit: these calls are a service to the directory, not a burden.
        if len(self._failed_refreshes) >= _MOST_FAILED_REFRESHES:
            self._failed_refreshes.clear()
        self._failed_refreshes[identifier] = self._clock.monotonic() + _REFRESH_PAUSE_SECONDS

    def breaker(self) -> tuple[str, Breaker]:
        """The endpoint in force, and this worker's breaker for it."""
        endpoint = self._configuration.value.api_endpoint
        return endpoint, self._call.breaker(endpoint)

    def forget(self, identifier: str) -> None:
        """Take no answer of a call that is under way into the cache: its customer changed."""
        self._flights.forget(identifier)

    def forget_prefix(self, prefix: str) -> None:
        """The same for every identifier that starts so."""
        for identifier in self._flights:
            if identifier.startswith(prefix):
                self._flights.forget(identifier)

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
        now_ms = self._clock.now_ms()
        flight, leads = self._flights.join(
            asked.identifier,
            lambda flight: self._fetch(asked, cache, lambda: self.plan, flight, now_ms),
        )
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
            _of_entry(
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
        """The answer to an event at its deadline: its call is still under way, or never began."""
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

    async def drain(self, seconds: float | None = None) -> None:
        """Wait for calls that outlived their events' deadlines; cancel them after `seconds`."""
        await self._flights.drain(seconds)

    async def _fetch(
        self,
        asked: Identification,
        cache: CustomerCache,
        current: Callable[[], LookupConfiguration],
        flight: Flight[Fetched],
        started_at_ms: int,
    ) -> Fetched:
        audited: list[Awaitable[None]] = []

        async def noted(attempt: Attempt) -> None:
            record = attempted(
                asked,
                attempt,
                flight.waiters,
                self._clock.now_ms(),
                call_started_at_ms=started_at_ms,
            )
            audited.append(await self._publisher.send(record))

        answer = await self._call(
            asked.identifier, current, noted, flight.demand, asked.traceparent
        )
        is_current = self._flights.is_current(asked.identifier, flight)
        entry = None
        if answer.customer is not None:
            document = write_json(answer.customer.as_document())
            entry = CacheEntry(_asked_at_ms(answer), document)
        elif answer.reason is Reason.NOT_FOUND:
            entry = CacheEntry(_asked_at_ms(answer), None)
        if answer.customer is not None and answer.customer.tier not in (*TIERS, ""):
            self._metrics.unknown_tiers.inc()
        for name in () if answer.customer is None else answer.customer.odd_fields:
            self._metrics.odd_fields.labels(name).inc()
        if entry is not None and is_current:
            self._keep(cache, asked.identifier, entry)
        elif entry is not None:
            # Forgotten on its way: it is from before that, though it may have asked again since.
            entry = CacheEntry(started_at_ms, entry.document)
        return Fetched(answer, entry, tuple(audited))

    def _keep(self, cache: CustomerCache, identifier: str, entry: CacheEntry) -> None:
        """Keep an entry if there is room: a full disk is no reason not to answer."""
        with contextlib.suppress(StorageFailed):
            cache.put(identifier, entry)

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
            return _of_entry(
                asked,
                entry,
                Source.STALE_CACHE,
                plan,
                now_ms,
                attempts=attempts,
                duration_ms=duration_ms,
            )
        return _failed(
            asked,
            failure.reason or Reason.API_ERROR,
            failure.error_message or "the directory could not answer",
            plan,
            attempts=attempts,
            duration_ms=duration_ms,
        )

    def _since(self, consumed_at: float) -> int:
        return round((self._clock.monotonic() - consumed_at) * 1000)


def _asked_at_ms(answer: DirectoryAnswer) -> int:
    # What the directory knew when it was asked: news of a moment later are newer.
    return answer.attempts[-1].requested_at_ms


def _failed(  # noqa: PLR0913 - an answer says all of this
    asked: Identification,
    reason: Reason,
    message: str,
    plan: LookupConfiguration,
    *,
    attempts: int = 0,
    duration_ms: int = 0,
    source: Source | None = None,
) -> LookupFailed:
    return LookupFailed(
        asked=asked,
        reason=reason,
        error_message=message,
        attempts=attempts,
        duration_ms=duration_ms,
        config_version=plan.version,
        source=source,
    )


def _of_entry(  # noqa: PLR0913 - an answer says all of this
    asked: Identification,
    entry: CacheEntry,
    source: Source,
    plan: LookupConfiguration,
    now_ms: int,
    *,
    attempts: int = 0,
    duration_ms: int = 0,
) -> LookupAnswer:
    if entry.document is None:
        return _failed(
            asked,
            Reason.NOT_FOUND,
            "the directory does not know this identifier",
            plan,
            attempts=attempts,
            duration_ms=duration_ms,
            source=source,
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
