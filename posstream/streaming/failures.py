"""What happens to an event whose handler raised: a plugin's own error is apart from machinery's.

An error of the machinery (broker, store) says nothing of the event: the app crashes, the event not
finished, and is started again. Any other error is the plugin's own, and would come again with the
same event; the supervisor of the plugin decides about it.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiokafka.errors import KafkaError
from faust.exceptions import FaustError

from posstream.dead_letters.setting_aside import place
from posstream.domain.errors import BrokerUnreachable, PublishFailed, StorageFailed

log = logging.getLogger(__name__)

#: Errors of broker and store, whichever event was at hand.
MACHINERY: Final = (PublishFailed, StorageFailed, BrokerUnreachable, KafkaError, FaustError)

#: Takes a message at which a plugin's own code raised, and the error. True: the message was set
#: aside and needs nothing more. False: it is not finished, and nothing behind it may be.
Fails = Callable[[Any, Exception], Awaitable[bool]]


class Failures:
    """Sorts the errors of one app's event handlers.

    Args:
        app: crashes at an error of the machinery.
        fails: takes the plugin's own errors; without, these crash the app, too.
    """

    def __init__(self, app: Any, fails: Fails | None = None) -> None:
        self._app = app
        self._fails = fails

    async def take(self, message: Any, why: Exception) -> bool:
        """Deal with an error; returns whether the message needs nothing more."""
        if self._fails is not None and not isinstance(why, MACHINERY):
            try:
                return await self._fails(message, why)
            except Exception as unforeseen:  # noqa: BLE001 - nobody awaits this
                why = unforeseen
        log.critical("cannot go on at %s: %r", place(message), why, exc_info=why)
        await self._app.crash(why)
        return False
