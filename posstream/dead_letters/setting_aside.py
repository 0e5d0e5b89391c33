"""Writes a dead letter for each message set aside, and raises an alarm when there are many.

However many dead letters there are, readable messages are still answered.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from posstream.dead_letters.record import dead_letter
from posstream.domain.errors import PublishFailed, UnreadableEvent
from posstream.events.envelope import written_ms
from posstream.kafka.record import Record
from posstream.metrics import Metrics
from posstream.resilience.clock import Clock
from posstream.resilience.recently import Recently
from posstream.resilience.repeats import Repeats
from posstream.tracing.context import trace_id, traceparent

log = logging.getLogger(__name__)

#: Dead letters that are being written at once: a flood of them must neither fill the memory nor
#: block the event loop.
MOST_UNDER_WAY: Final = 500
#: A thread searches larger messages for card numbers: that would block the event loop.
_LARGE_BYTES: Final = 2048
#: Large messages that are searched at the same time.
_MOST_SEARCHED: Final = 2
_ALARM_SECONDS: Final = 60
_LATELY_SECONDS: Final = 3600


@dataclass(eq=False, kw_only=True)
class DeadLetters:
    """Writes the dead letters of all agents of one plugin."""

    #: The name of the plugin, for the log.
    plugin: str = ""
    #: The plugin's dead-letter topic.
    topic: str
    #: Writes a dead letter and waits for the broker's acknowledgement; raises PublishFailed if the
    #: broker will never take it.
    publish: Callable[[Record], Awaitable[None]]
    clock: Clock
    #: Counts the dead letters.
    metrics: Metrics
    #: More dead letters than this in a minute raise the alarm.
    per_minute: int

    def __post_init__(self) -> None:
        self._under_way = asyncio.Semaphore(MOST_UNDER_WAY)
        self._searched = asyncio.Semaphore(_MOST_SEARCHED)
        #: When the newest dead letters were set aside, in monotonic seconds; one more than is
        #: allowed in a minute.
        self._newest: deque[float] = deque(maxlen=self.per_minute + 1)
        #: Where the last one came from.
        self._source = ""
        self._repeats: Repeats[str] = Repeats(self.clock)
        self._lately = Recently(self.clock, _LATELY_SECONDS)

    @property
    def alarm(self) -> str | None:
        """A sentence if there were too many dead letters in the last minute; else None."""
        newest, most = self._newest, self._newest.maxlen or 0
        if len(newest) < most or self.clock.monotonic() - newest[0] >= _ALARM_SECONDS:
            return None
        return (
            f"{most} messages or more in a minute cannot be read and become dead letters; the last "
            f"one is of {self._source}: see `posstream dlq list`, and repair the producer"
        )

    @property
    def last_hour(self) -> int:
        """How many messages became dead letters in the last hour, since the plugin's start."""
        return self._lately.count

    def report(self) -> None:
        """Log how many more dead letters of each kind came, once a minute; call this often."""
        for kind, count in self._repeats.due():
            log.warning(
                "dead letters: %d more in a minute: %s", count, kind, extra={"plugin": self.plugin}
            )

    async def set_aside(self, message: Any, why: UnreadableEvent) -> None:
        """Write a dead letter and wait until the broker has it, or will never take it.

        Raises:
            Exception: any unforeseen error; whether the letter was written is then unknown.
        """
        self._note(message, why)
        async with self._under_way:
            letter = await self._letter(message, why)
            try:
                await self.publish(letter)
            except PublishFailed as refusal:
                self.metrics.dead_letters_refused.inc()
                if self._repeats.is_first(f"{message.topic}: refused by the broker"):
                    log.warning(
                        "the broker refused the dead letter of %s (%s): check max.message.bytes of "
                        "its topic, and who may write there",
                        place(message),
                        refusal,
                        extra={"plugin": self.plugin},
                    )

    def _note(self, message: Any, why: UnreadableEvent) -> None:
        self.metrics.dead_letters.labels(why.reason).inc()
        self._newest.append(self.clock.monotonic())
        self._lately.add()
        self._source = message.topic
        if self._repeats.is_first(f"{message.topic}: {why.reason}"):
            about = {"plugin": self.plugin, "trace_id": trace_id(traceparent(headers(message)))}
            log.warning("dead letter: %s: %s: %s", place(message), why.reason, why, extra=about)

    async def _letter(self, message: Any, why: UnreadableEvent) -> Record:
        make = partial(
            dead_letter, self.topic, message, timestamp_ms=timestamp_ms(message), error=why
        )
        if len(message.value or b"") + len(message.key or b"") <= _LARGE_BYTES:
            return make()
        async with self._searched:
            return await asyncio.to_thread(make)


def place(message: Any) -> str:
    """Where a message lies: topic/partition/offset."""
    return f"{message.topic}/{message.partition}/{message.offset}"


def headers(message: Any) -> list[tuple[str, bytes]]:
    """The headers of a message; Faust has them as pairs, as a mapping or not at all."""
    found = message.headers or ()
    return list(found.items() if isinstance(found, dict) else found)


def timestamp_ms(message: Any) -> int:
    """When a message of Faust's was written; see `written_ms`."""
    return written_ms(round((message.timestamp or time.time()) * 1000), headers(message))
