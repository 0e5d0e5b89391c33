"""How long a consumer's fetches wait: longer after some quiet seconds.

The embedded broker sleeps through the wait instead of answering as soon as there is a record, so
waits are short there; but each fetch costs it CPU for every partition, also while nothing comes.
aiokafka keeps the wait in its fetcher, which reads it for each request. If an upgrade moves it,
fetches keep the first wait, and `test_pins.py` fails.
"""

import time
from typing import Any, Final

#: Seconds without a record after which fetches wait longer.
_QUIET_SECONDS: Final = 2


class FetchPace:
    """Sets the wait of one aiokafka consumer's fetches."""

    def __init__(self) -> None:
        self._brought_at = time.monotonic()

    def set(self, consumer: Any, *, brought: bool, wait_ms: int, quiet_wait_ms: int) -> None:
        """Set the wait of the next fetches.

        Args:
            consumer: it must be started.
            brought: whether the last fetch brought records.
            wait_ms: how long a fetch waits for records.
            quiet_wait_ms: the same when no record came for some seconds.
        """
        now = time.monotonic()
        if brought:
            self._brought_at = now
        quiet = now - self._brought_at > _QUIET_SECONDS
        consumer._fetcher._fetch_max_wait_ms = quiet_wait_ms if quiet else wait_ms
