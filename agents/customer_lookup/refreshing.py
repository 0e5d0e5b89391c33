"""Fetches cache entries anew before anybody waits for them: ahead of their end, or by a command."""

from typing import Final
from zlib import crc32

from msgspec import structs

from agents.customer_lookup.answers import Identification
from agents.customer_lookup.cache_commands import Refresh
from agents.customer_lookup.configuration import LookupConfiguration
from agents.customer_lookup.directory.call import DirectoryCall
from agents.customer_lookup.fetching import Fetching
from agents.customer_lookup.metrics import LookupMetrics
from agents.customer_lookup.ports import CustomerCache
from posstream.configuration.current import CurrentConfiguration
from posstream.domain.identifier import known
from posstream.resilience.clock import Clock
from tables.freshness import CacheEntry, refresh_due

#: How long after a failure an entry is not refreshed ahead again.
_PAUSE_SECONDS: Final = 60
_MOST_FAILED: Final = 10_000


class Refreshing:
    """Keeps entries fresh by calls that no event waits for. One per app."""

    def __init__(
        self,
        fetching: Fetching,
        *,
        call: DirectoryCall,
        configuration: CurrentConfiguration[LookupConfiguration],
        clock: Clock,
        metrics: LookupMetrics,
    ) -> None:
        self._fetching = fetching
        self._call = call
        self._configuration = configuration
        self._clock = clock
        self._metrics = metrics
        #: Until when an identifier is not refreshed ahead again, in monotonic seconds.
        self._failed: dict[str, float] = {}

    def ahead(self, asked: Identification, cache: CustomerCache, entry: CacheEntry) -> None:
        """Fetch a fresh entry anew if it is in use near the end of its window (refresh-ahead).

        One attempt, and only while the directory has room.
        """
        plan: LookupConfiguration = self._configuration.value
        jitter = (crc32(asked.identifier.encode()) ^ entry.fetched_at_ms) % 1000 / 1000
        if not refresh_due(entry, self._clock.now_ms(), plan.windows, jitter):
            return
        identifier = asked.identifier
        if (
            identifier in self._fetching
            or self._failed.get(identifier, 0) > self._clock.monotonic()
        ):
            return
        if not self._call.idle(plan):
            self._metrics.refreshes_ahead.labels("skipped").inc()
            return

        def once() -> LookupConfiguration:
            current: LookupConfiguration = self._configuration.value
            return structs.replace(current, retry_attempts=1)

        def ended(brought: bool) -> None:  # noqa: FBT001 - called by position
            self._metrics.refreshes_ahead.labels("refreshed" if brought else "failed").inc()
            if not brought:
                self._leave_alone(identifier)

        self._fetching.fetch_unasked(asked, cache, once, ended)

    def by_command(self, command: Refresh, cache: CustomerCache) -> None:
        """Fetch an identifier anew, even if its entry is fresh; join a call that is under way."""
        plan: LookupConfiguration = self._configuration.value
        found = known(command.identifier)
        if not plan.enabled or found is None:
            return
        now_ms = self._clock.now_ms()
        asked = Identification(command.lookup_id, "", found.value, found.kind, now_ms)
        self._fetching.fetch_unasked(asked, cache, lambda: self._configuration.value)

    def _leave_alone(self, identifier: str) -> None:
        # Not at every hit: these calls are a service to the directory, not a burden.
        if len(self._failed) >= _MOST_FAILED:
            self._failed.clear()
        self._failed[identifier] = self._clock.monotonic() + _PAUSE_SECONDS
