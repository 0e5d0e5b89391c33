"""Lets the default plugin go first: tills wait for it, and all plugins share one event loop."""

import asyncio
import time
from typing import Final

#: For how long a full fetch of the default plugin tells that it is behind.
_BEHIND_SECONDS: Final = 0.2
#: How long another plugin gives way at most: it goes on slowly, and is not taken for stalled.
_MOST_SECONDS: Final = 1.0


class Precedence:
    """Tells when the default plugin is behind. One per worker.

    Args:
        behind_seconds: how long one full fetch counts.
        most_seconds: how long `give_way` takes at most.
    """

    def __init__(
        self, *, behind_seconds: float = _BEHIND_SECONDS, most_seconds: float = _MOST_SECONDS
    ) -> None:
        self._behind_seconds = behind_seconds
        self._most_seconds = most_seconds
        self._behind_until = 0.0

    def note_full(self) -> None:
        """Note that a fetch of the default plugin brought as many events as one may."""
        self._behind_until = time.monotonic() + self._behind_seconds

    async def give_way(self) -> None:
        """Wait while the default plugin is behind, but not for long."""
        give_up_at = time.monotonic() + self._most_seconds
        while (left := min(self._behind_until, give_up_at) - time.monotonic()) > 0:  # noqa: ASYNC110 - it may become longer meanwhile
            await asyncio.sleep(left)
