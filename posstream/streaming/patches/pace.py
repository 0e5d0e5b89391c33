"""How long a consumer's fetches wait: longer in quiet times, and for more events in busy ones.

The embedded broker sleeps through the wait instead of answering as soon as there is a record, so
waits are short there; but each fetch costs it CPU for every partition, also while nothing comes.

Apache Kafka answers a fetch with the first record. At some thousand events a second, fetches with
few events each took so much CPU in worker and broker that tills waited for it. So a busy
consumer asks for more bytes, and the broker lets it wait for them, for milliseconds.

aiokafka keeps both in its fetcher, which reads them for each request. If an upgrade moves them,
fetches keep the first values, and `test_pins.py` fails.
"""

import time
from typing import Any, Final

#: Seconds without a record after which fetches wait longer.
_QUIET_SECONDS: Final = 2
#: If a fetch brought so many events, how long the next one waits for `_BYTES`, in milliseconds.
_BUSY: Final = ((60, 20), (20, 10))
#: As much as the busiest partitions fill in that time: a backlog is never waited for.
_BYTES: Final = 64 * 1024


class FetchPace:
    """Sets the waits of one aiokafka consumer's fetches."""

    def __init__(self) -> None:
        self._brought_at = time.monotonic()

    def set(
        self,
        consumer: Any,
        *,
        brought: int,
        wait_ms: int,
        quiet_wait_ms: int,
        gathers: bool = False,
    ) -> None:
        """Set the wait of the next fetches.

        Args:
            consumer: it must be started.
            brought: how many records the last fetch brought.
            wait_ms: how long a fetch waits for a record.
            quiet_wait_ms: the same when no record came for some seconds.
            gathers: whether a busy consumer waits some milliseconds for more records.
        """
        now = time.monotonic()
        if brought:
            self._brought_at = now
        quiet = now - self._brought_at > _QUIET_SECONDS
        wait_ms, least_bytes = quiet_wait_ms if quiet else wait_ms, 1
        if gathers:
            for many, busy_wait_ms in _BUSY:
                if brought >= many:
                    wait_ms, least_bytes = busy_wait_ms, _BYTES
                    break
        consumer._fetcher._fetch_max_wait_ms = wait_ms
        consumer._fetcher._fetch_min_bytes = least_bytes
