"""Fetches customers from the directory: single flight, audit records, the entry in the cache.

A call has no deadline of its own: it goes on after the last event that waited for it was answered,
and its result is cached for the next one. A call that no event waits for keeps an entry fresh:
ahead of the end of its window, or by a command.
"""

import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final
from zlib import crc32

from msgspec import structs

from agents.customer_lookup.answers import Attempt, DirectoryAnswer, Identification
from agents.customer_lookup.cache_commands import Refresh
from agents.customer_lookup.configuration import LookupConfiguration
from agents.customer_lookup.directory.call import DirectoryCall
from agents.customer_lookup.events.writing import attempted
from agents.customer_lookup.metrics import LookupMetrics
from agents.customer_lookup.reasons import Reason
from posstream.configuration.current import CurrentConfiguration
from posstream.domain.customer import TIERS
from posstream.domain.errors import StorageFailed
from posstream.domain.identifier import known
from posstream.json.writing import write_json
from posstream.kafka.record import EventPublisher
from posstream.resilience.clock import Clock
from posstream.resilience.single_flight import Flight, SingleFlight
from tables.customer_cache import CachePartition
from tables.freshness import CacheEntry, refresh_due

#: How long after a failure an entry is not refreshed ahead again.
_PAUSE_SECONDS: Final = 60
_MOST_FAILED: Final = 10_000


@dataclass(slots=True)  # not frozen: see `answers.Identification`
class Fetched:
    """What a flight brought: the directory's answer, the entry made of it, the audit's acks."""

    answer: DirectoryAnswer
    entry: CacheEntry | None = None
    audited: tuple[Awaitable[None], ...] = ()


@dataclass(eq=False, kw_only=True)
class Fetching:
    """Fetches customers, each identifier once at a time (single flight). One per app."""

    call: DirectoryCall
    configuration: CurrentConfiguration[LookupConfiguration]
    publisher: EventPublisher
    clock: Clock
    metrics: LookupMetrics

    def __post_init__(self) -> None:
        self._flights: SingleFlight[str, Fetched] = SingleFlight()
        #: Until when an identifier is not refreshed ahead again, in monotonic seconds.
        self._failed: dict[str, float] = {}

    def join(self, asked: Identification, cache: CachePartition) -> tuple[Flight[Fetched], bool]:
        """Join the call for an identifier, or start one if none is under way.

        Args:
            asked: leads the call, if it starts one: the audit records are its own.
            cache: the part of the cache that owns the identifier; keeps what the call brings.

        Returns:
            the flight, and whether this caller started it.
        """
        started_at_ms = self.clock.now_ms()
        return self._flights.join(
            asked.identifier,
            lambda flight: self._fetch(asked, cache, self._plan, flight, started_at_ms),
        )

    def refresh_ahead(
        self, asked: Identification, cache: CachePartition, entry: CacheEntry
    ) -> None:
        """Fetch a fresh entry anew if it is in use near the end of its window (refresh-ahead).

        One attempt, and only while the directory has room.
        """
        plan, identifier = self.configuration.value, asked.identifier
        jitter = (crc32(identifier.encode()) ^ entry.fetched_at_ms) % 1000 / 1000
        if (
            not refresh_due(entry, self.clock.now_ms(), plan.windows, jitter)
            or identifier in self._flights
            or self._failed.get(identifier, 0) > self.clock.monotonic()
        ):
            return
        if not self.call.idle(plan):
            self.metrics.refreshes_ahead.labels("skipped").inc()
            return

        def once() -> LookupConfiguration:
            return structs.replace(self._plan(), retry_attempts=1)

        def ended(brought: bool) -> None:  # noqa: FBT001 - called by position
            self.metrics.refreshes_ahead.labels("refreshed" if brought else "failed").inc()
            if not brought:
                self._leave_alone(identifier)

        self._fetch_unasked(asked, cache, once, ended)

    def refresh(self, command: Refresh, cache: CachePartition) -> None:
        """Fetch an identifier anew, even if its entry is fresh, unless a call is under way."""
        found = known(command.identifier)
        if not self._plan().enabled or found is None:
            return
        now_ms = self.clock.now_ms()
        asked = Identification(command.lookup_id, "", found.value, found.kind, now_ms)
        self._fetch_unasked(asked, cache, self._plan)

    def forget(self, identifier: str) -> None:
        """Keep the answer of a call under way out of the cache: its customer changed."""
        self._flights.forget(identifier)

    def forget_prefix(self, prefix: str) -> None:
        """Keep the answers of calls whose identifiers start with `prefix` out of the cache."""
        for identifier in self._flights:
            if identifier.startswith(prefix):
                self._flights.forget(identifier)

    async def drain(self, seconds: float | None = None) -> None:
        """Wait for calls that outlived their events' deadlines; cancel them after `seconds`."""
        await self._flights.drain(seconds)

    def _plan(self) -> LookupConfiguration:
        return self.configuration.value

    def _leave_alone(self, identifier: str) -> None:
        # Not again at every hit: refreshes should spare the directory calls, not add some.
        if len(self._failed) >= _MOST_FAILED:
            self._failed.clear()
        self._failed[identifier] = self.clock.monotonic() + _PAUSE_SECONDS

    def _fetch_unasked(
        self,
        asked: Identification,
        cache: CachePartition,
        current: Callable[[], LookupConfiguration],
        ended: Callable[[bool], None] = lambda _: None,
    ) -> None:
        """Make a call that no event waits for, unless one runs; calls for events go first.

        Args:
            asked: see `join`.
            cache: see `join`.
            current: gives the configuration in force.
            ended: told at the end of the call whether it brought an entry.
        """
        started_at_ms = self.clock.now_ms()

        async def fetch(flight: Flight[Fetched]) -> Fetched:
            brought = False
            try:
                fetched = await self._fetch(asked, cache, current, flight, started_at_ms)
                for audited in fetched.audited:
                    await audited
                brought = fetched.entry is not None
                return fetched
            finally:
                ended(brought)

        flight, leads = self._flights.join(asked.identifier, fetch)
        if leads:
            flight.demand.last = self.clock.monotonic() + current().deadline_seconds

    async def _fetch(
        self,
        asked: Identification,
        cache: CachePartition,
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
                self.clock.now_ms(),
                call_started_at_ms=started_at_ms,
            )
            audited.append(await self.publisher.send(record))

        answer = await self.call(asked.identifier, current, noted, flight.demand, asked.traceparent)
        customer, entry = answer.customer, None
        if customer is not None or answer.reason is Reason.NOT_FOUND:
            document = None if customer is None else write_json(customer.as_document())
            # Dated at the request: an update of a moment later is newer.
            entry = CacheEntry(answer.attempts[-1].requested_at_ms, document)
        if customer is not None:
            if customer.tier not in (*TIERS, ""):
                self.metrics.unknown_tiers.inc()
            for name in customer.odd_fields:
                self.metrics.odd_fields.labels(name).inc()
        if entry is not None and self._flights.is_current(asked.identifier, flight):
            with contextlib.suppress(StorageFailed):  # a full disk is no reason not to answer
                cache.put(asked.identifier, entry)
        elif entry is not None:
            # Forgotten meanwhile: count the entry as old as the call's start, even after a retry.
            entry = CacheEntry(started_at_ms, entry.document)
        return Fetched(answer, entry, tuple(audited))
