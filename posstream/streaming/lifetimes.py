"""Services that are opened before events flow and closed after them, and the end of a process."""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from mode import Service

from posstream.domain.errors import StartRefused
from posstream.plugin import Lifetime

#: How long a stop after a crash may take beyond the drain, before the process is ended.
_LAST_WORDS_SECONDS: Final = 15


@contextmanager
def ends_if_refused() -> Iterator[None]:
    """End the process with one line that says why it must not start."""
    try:
        yield
    except StartRefused as why:
        sys.exit(f"error: {why}")


class LifetimeService(Service):
    """Opens a resource before the first event flows and closes it after the last.

    Faust starts `@app.service` after events flow; a boot strategy can put this one first.
    """

    def __init__(self, lifetime: Lifetime) -> None:
        super().__init__()
        self._lifetime = lifetime

    @property
    def label(self) -> str:
        """The name in Faust's log lines."""
        return self._lifetime.name

    async def on_start(self) -> None:
        """Open the resource."""
        await self._lifetime.open()

    async def on_stop(self) -> None:
        """Close the resource."""
        await self._lifetime.close()


class ProcessEnd:
    """Ends the process if the stop after a crash takes too long, so that a supervisor starts it.

    Faust's stop waits for its threads, and one of them may be what crashed.
    """

    def __init__(self) -> None:
        self._timer: threading.Timer | None = None

    def arm(self, drain_seconds: float) -> None:
        """End the process after the drain and some seconds more."""
        self._timer = threading.Timer(drain_seconds + _LAST_WORDS_SECONDS, os._exit, [1])
        self._timer.daemon = True
        self._timer.start()

    def disarm(self) -> None:
        """Let the process live: the stop came to its end."""
        if self._timer is not None:
            self._timer.cancel()
