"""Sets how long fetches wait: longer when no events come, and for a larger batch when many do.

The embedded broker sleeps through the wait instead of answering as soon as there is a record, so
waits are short there; but each fetch costs it CPU for every partition, also while nothing comes.

Apache Kafka answers a fetch with the first record. At a few thousand events a second, fetches of
few events each took so much CPU in worker and broker that tills waited. So a busy consumer sets a
higher `fetch.min.bytes`, and the broker holds the fetch for 10 or 20 ms.

aiokafka keeps both in its fetcher, which reads them for each request. If an upgrade moves them,
fetches keep the first values, and `test_pins.py` fails.
"""

import time
from typing import Any, Final

#: Seconds without a record after which fetches wait longer.
_QUIET_SECONDS: Final = 2
#: Events in the last fetch, and milliseconds that the next one may wait for `_BYTES`; most first.
_BUSY: Final = ((60, 20), (20, 10))
#: A backlog has more, so its fetches do not wait.
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
