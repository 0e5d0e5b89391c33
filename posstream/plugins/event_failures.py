"""Decides what becomes of an event that a plugin's own code could not handle."""

import logging
from collections import deque
from typing import Any, Final

from aiokafka.errors import KafkaError
from faust.exceptions import FaustError
from sqlalchemy.exc import InterfaceError, OperationalError

from posstream.dead_letters.setting_aside import DeadLetters, place
from posstream.domain.errors import (
    DeadLetterReason,
    PluginFailed,
    PosstreamError,
    UnreadableEvent,
)
from posstream.resilience.clock import Clock

log = logging.getLogger(__name__)

#: How many events a minute a plugin's code may raise on: each becomes a dead letter. At one more
#: the plugin stops, before every event that it reads becomes a dead letter.
MOST_A_MINUTE: Final = 3
_MINUTE_SECONDS: Final = 60
#: Errors of the broker, the disk or the database, and not of the plugin's code.
_MACHINERY: Final = (
    *(PosstreamError, KafkaError, FaustError),
    *(OperationalError, InterfaceError, OSError),
)


class EventFailures:
    """Sets aside the events that one plugin cannot handle, or stops the plugin.

    Args:
        app: the plugin's.
        dead_letters: the plugin's.
        clock: time.
    """

    def __init__(self, app: Any, dead_letters: DeadLetters, clock: Clock) -> None:
        self._app = app
        self._dead_letters = dead_letters
        self._clock = clock
        #: When the plugin's code raised, in monotonic seconds: the last times, oldest first.
        self._newest: deque[float] = deque(maxlen=MOST_A_MINUTE)

    async def is_set_aside(self, message: Any, why: BaseException) -> bool:
        """Make a dead letter of a message, or stop the plugin's app.

        Args:
            message: a message of Faust's, or an event of `lanes`.
            why: what was raised while it was handled.

        Returns:
            True once the dead letter is written: the message needs nothing more. False if the app
            stops: the message must stay unfinished, so that it is read again.
        """
        try:
            if isinstance(why, UnreadableEvent):
                await self._dead_letters.set_aside(message, why)
                return True
            if not isinstance(why, _MACHINERY) and self._may_go_on():
                about = {"plugin": self._dead_letters.plugin}
                said = "%s: the plugin's code failed: %r"
                log.error(said, place(message), why, exc_info=why, extra=about)
                told = UnreadableEvent(DeadLetterReason.PLUGIN_FAILED, type(why).__name__)
                await self._dead_letters.set_aside(message, told)
                return True
        except Exception as unforeseen:  # noqa: BLE001 - whether it was written is unknown
            why = unforeseen
        about = {"plugin": self._dead_letters.plugin}
        log.critical("cannot go on at %s: %r", place(message), why, exc_info=why, extra=about)
        await self._app.crash(why if isinstance(why, _MACHINERY) else _failed(message, why))
        return False

    def _may_go_on(self) -> bool:
        now = self._clock.monotonic()
        full = len(self._newest) == MOST_A_MINUTE
        if full and now - self._newest[0] < _MINUTE_SECONDS:
            return False
        self._newest.append(now)
        return True


def _failed(message: Any, why: BaseException) -> PluginFailed:
    # Only the type of the exception: its text may quote a customer.
    return PluginFailed(
        f"its code failed at more than {MOST_A_MINUTE} events in a minute, at last at "
        f"{place(message)} ({type(why).__name__})"
    )
