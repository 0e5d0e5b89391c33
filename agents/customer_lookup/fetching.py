"""Fetches a customer from the directory: single flight, audit records, the entry in the cache.

A call has no deadline of its own: it goes on after the last event that waited for it was answered,
and its result is cached for the next one.
"""

import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from agents.customer_lookup.answers import Attempt, DirectoryAnswer, Identification, Reason
from agents.customer_lookup.configuration import LookupConfiguration
from agents.customer_lookup.directory.call import DirectoryCall
from agents.customer_lookup.events.writing import attempted
from agents.customer_lookup.metrics import LookupMetrics
from agents.customer_lookup.ports import CustomerCache
from posstream.domain.customer import TIERS
from posstream.domain.errors import StorageFailed
from posstream.json.writing import write_json
from posstream.kafka.record import EventPublisher
from posstream.resilience.clock import Clock
from posstream.resilience.single_flight import Flight, SingleFlight
from tables.freshness import CacheEntry


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a flight brought: the directory's answer, the entry made of it, the audit's acks."""

    answer: DirectoryAnswer
    entry: CacheEntry | None
    audited: tuple[Awaitable[None], ...]


class Fetching:
    """Fetches customers, each identifier once at a time (single flight). One per app."""

    def __init__(
        self,
        *,
        call: DirectoryCall,
        publisher: EventPublisher,
        clock: Clock,
        metrics: LookupMetrics,
    ) -> None:
        self._call = call
        self._publisher = publisher
        self._clock = clock
        self._metrics = metrics
        self._flights: SingleFlight[str, Fetched] = SingleFlight()

    def __contains__(self, identifier: str) -> bool:
        """Whether a call for an identifier is under way."""
        return identifier in self._flights

    def join(
        self,
        asked: Identification,
        cache: CustomerCache,
        current: Callable[[], LookupConfiguration],
    ) -> tuple[Flight[Fetched], bool]:
        """Join the call for an identifier, or start one if none is under way.

        Args:
            asked: leads the call, if it starts one: the audit records are its own.
            cache: the part of the cache that owns the identifier; keeps what the call brings.
            current: gives the configuration in force.

        Returns:
            the flight, and whether this caller started it.
        """
        started_at_ms = self._clock.now_ms()
        return self._flights.join(
            asked.identifier,
            lambda flight: self._fetch(asked, cache, current, flight, started_at_ms),
        )

    def fetch_unasked(
        self,
        asked: Identification,
        cache: CustomerCache,
        current: Callable[[], LookupConfiguration],
        ended: Callable[[bool], None] = lambda _: None,
    ) -> None:
        """Make a call that no event waits for, unless one runs; calls for events go first.

        Args:
            asked: see `join`.
            cache: see `join`.
            current: see `join`.
            ended: told at the end of the call whether it brought an entry.
        """
        started_at_ms = self._clock.now_ms()

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
            flight.demand.last = self._clock.monotonic() + current().deadline_seconds

    def forget(self, identifier: str) -> None:
        """Take no answer of a call that is under way into the cache: its customer changed."""
        self._flights.forget(identifier)

    def forget_prefix(self, prefix: str) -> None:
        """Take no answer of a call whose identifier starts with `prefix` into the cache."""
        for identifier in self._flights:
            if identifier.startswith(prefix):
                self._flights.forget(identifier)

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
            # Forgotten meanwhile: count the entry as old as the call's start, even after a retry.
            entry = CacheEntry(started_at_ms, entry.document)
        return Fetched(answer, entry, tuple(audited))

    def _keep(self, cache: CustomerCache, identifier: str, entry: CacheEntry) -> None:
        """Keep an entry if there is room: a full disk is no reason not to answer."""
        with contextlib.suppress(StorageFailed):
            cache.put(identifier, entry)


def _asked_at_ms(answer: DirectoryAnswer) -> int:
    # What the directory knew when it was asked: news of a moment later are newer.
    return answer.attempts[-1].requested_at_ms
