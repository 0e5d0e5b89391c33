"""Services that are opened before events flow and closed after them, and the end of a process."""

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from mode import Service

from posstream.domain.errors import PosstreamError, StartRefused
from posstream.logs.setup import refuse
from posstream.plugin import Lifetime

log = logging.getLogger(__name__)

#: How long a stop after a crash may take beyond the drain, before the process is ended.
_LAST_WORDS_SECONDS: Final = 15


#: What a resource of a plugin may take to open.
OPEN_SECONDS: Final = 30.0


@contextmanager
def ends_if_refused() -> Iterator[None]:
    """End the process with one line that says why it must not start."""
    try:
        yield
    except StartRefused as why:
        refuse(str(why))


class LifetimeService(Service):
    """Opens a resource before the first event flows and closes it after the last.

    Faust starts `@app.service` after events flow; a boot strategy can put this one first.
    """

    def __init__(
        self,
        lifetime: Lifetime,
        *,
        open_seconds: float | None = None,
        close_seconds: Callable[[], float | None] = lambda: None,
    ) -> None:
        """Open nothing yet.

        Args:
            lifetime: what is opened and closed.
            open_seconds: how long the opening may take; None = as long as it likes.
            close_seconds: how long the closing may take.
        """
        super().__init__()
        self._lifetime = lifetime
        self._open_seconds = open_seconds
        self._close_seconds = close_seconds

    @property
    def label(self) -> str:
        """The name in Faust's log lines."""
        return self._lifetime.name

    async def on_start(self) -> None:
        """Open the resource.

        Raises:
            LifetimeTooLong: if that takes too long.
        """
        try:
            async with asyncio.timeout(self._open_seconds) as patience:
                await self._lifetime.open()
        except TimeoutError as why:
            if not patience.expired():
                raise
            raise LifetimeTooLong(
                f"{self._lifetime.name} was not open after {self._open_seconds:g} s"
            ) from why

    async def on_stop(self) -> None:
        """Close the resource; what takes too long is left behind."""
        try:
            async with asyncio.timeout(self._close_seconds()) as patience:
                await self._lifetime.close()
        except TimeoutError:
            if not patience.expired():
                raise
            log.warning("%s could not be closed in time", self._lifetime.name)


class LifetimeTooLong(PosstreamError):
    """A resource was not open in time."""


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
