"""Sets how long fetches wait: longer when no events come, and for a larger batch when many do.

The embedded broker sleeps through the wait instead of answering as soon as there is a record, so
waits are short there; but each fetch costs it CPU for every partition, also while nothing comes.

Apache Kafka answers a fetch with the first record. At a few thousand events a second, fetches of
few events each took so much CPU in worker and broker that tills waited. So a busy consumer sets a
higher `fetch.min.bytes`, and the broker holds the fetch for 10 or 20 ms.

A plugin that no till waits for may set `gathers_from`: from that many events a second on, the
broker holds its fetches for up to 40 ms. A list of two events costs worker and broker as many
requests as a long one.

aiokafka keeps both in its fetcher, which reads them for each request. If an upgrade moves them,
fetches keep the first values, and `test_pins.py` fails.
"""

import time
from typing import Any, Final

#: Seconds without a record after which fetches wait longer.
_QUIET_SECONDS: Final = 2
#: Events in the last fetch, and milliseconds that the next one may wait for `_BYTES`; most first.
_BUSY: Final = ((60, 20), (20, 10))
#: Milliseconds that fetches may wait from `gathers_from` on.
_STEADY_WAIT_MS: Final = 40
#: Seconds over which the rate of events is measured.
_COUNTED_SECONDS: Final = 0.25
#: A backlog has more, so its fetches do not wait.
_BYTES: Final = 64 * 1024


class FetchPace:
    """Sets the waits of one aiokafka consumer's fetches."""

    def __init__(self) -> None:
        self._brought_at = time.monotonic()
        self._counted_from = self._brought_at
        self._counted = 0
        self._per_second = 0.0

    def set(  # noqa: PLR0913 - all that a wait depends on
        self,
        consumer: Any,
        *,
        brought: int,
        wait_ms: int,
        quiet_wait_ms: int,
        gathers: bool = False,
        gathers_from: float | None = None,
    ) -> None:
        """Set the wait of the next fetches.

        Args:
            consumer: it must be started.
            brought: how many records the last fetch brought.
            wait_ms: how long a fetch waits for a record.
            quiet_wait_ms: the same when no record came for some seconds.
            gathers: whether a busy consumer waits some milliseconds for more records.
            gathers_from: the events a second from which on fetches wait longest; None = never.
        """
        now = time.monotonic()
        if brought:
            self._brought_at = now
        quiet = now - self._brought_at > _QUIET_SECONDS
        wait_ms, least_bytes = quiet_wait_ms if quiet else wait_ms, 1
        self._count(brought, now)
        if gathers and gathers_from is not None and self._per_second >= gathers_from:
            wait_ms, least_bytes = _STEADY_WAIT_MS, _BYTES
        elif gathers:
            for many, busy_wait_ms in _BUSY:
                if brought >= many:
                    wait_ms, least_bytes = busy_wait_ms, _BYTES
                    break
        consumer._fetcher._fetch_max_wait_ms = wait_ms
        consumer._fetcher._fetch_min_bytes = least_bytes

    def _count(self, brought: int, now: float) -> None:
        self._counted += brought
        seconds = now - self._counted_from
        if seconds >= _COUNTED_SECONDS:
            self._per_second = self._counted / seconds
            self._counted, self._counted_from = 0, now
