"""Hands published events to the subscribers on this worker. No I/O.

One reader (`feed_reader.py`) feeds the events in, and only while there are subscribers: without
them a busy worker does not read its own events.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final, Self

import orjson

from posstream.domain.errors import BrokerUnreachable, SubscriberTooSlow, TooManySubscribers
from posstream.json.reading import read_json_exactly
from posstream.logs.noise import ONCE_A_MINUTE
from posstream.resilience.clock import Clock

log = logging.getLogger(__name__)

#: Subscribers of one worker.
MAX_SUBSCRIBERS: Final = 1000
#: Events that wait for one subscriber. They are shared among subscribers, not copied.
MAX_WAITING: Final = 1000
#: Ids of events that were handed out. A crash or a rebalance repeats what came last.
MAX_REMEMBERED: Final = 50_000
#: How long a first subscriber waits until the topics are read.
PATIENCE_SECONDS: Final = 5.0
#: How long the topics are read after the last subscriber left: tills subscribe for each basket.
LINGER_SECONDS: Final = 60.0

#: One event, as it is on its topic.
FeedEvent = Mapping[str, Any]


class EventSubscription(AsyncIterator[FeedEvent]):
    """One subscriber's events: each one that is published from its start on, once."""

    def __init__(self, feed: "EventFeed", key: bytes | None, since: int) -> None:
        self.key = key
        #: Number of the first event that this subscriber has not seen.
        self.since = since
        self._feed = feed
        self._waiting: asyncio.Queue[FeedEvent] = asyncio.Queue(MAX_WAITING)
        self._too_slow = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> FeedEvent:
        """The next event.

        Raises:
            SubscriberTooSlow: if more were published than may wait.
        """
        if self._too_slow:
            raise SubscriberTooSlow(f"more than {MAX_WAITING} events were waiting")
        return await self._waiting.get()

    async def aclose(self) -> None:
        """End it. Idempotent."""
        self._feed.leave(self)

    def offer(self, event: FeedEvent) -> None:
        """Let an event wait for the subscriber, or end the subscription if too many do."""
        try:
            self._waiting.put_nowait(event)
        except asyncio.QueueFull:
            self._too_slow = True
            self._feed.leave(self)


class EventFeed:
    """Hands out the events of one worker's reader.

    Args:
        clock: time.
        what: the events are called so in messages.
        patience_seconds: how long a first subscriber waits until the topics are read.
        most_remembered: ids of events that were handed out.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        what: str = "events",
        patience_seconds: float = PATIENCE_SECONDS,
        most_remembered: int = MAX_REMEMBERED,
    ) -> None:
        self._clock = clock
        self._what = what
        self._patience_seconds = patience_seconds
        self._most_remembered = most_remembered
        #: By the key of the records that they subscribed to; None: all records.
        self._subscribers: dict[bytes | None, set[EventSubscription]] = {}
        self._count = 0
        self._left_at = 0.0
        self._wanted = asyncio.Event()
        self._flowing = asyncio.Event()
        self._numbers: OrderedDict[str, int] = OrderedDict()
        self._next_number = 0

    # -- for subscribers

    async def subscribe(self, key: str | None = None) -> EventSubscription:
        """Every event that is published from now on, those of one key or all.

        Raises:
            TooManySubscribers: if this worker has enough.
            BrokerUnreachable: if the topics cannot be read.
        """
        if self._count >= MAX_SUBSCRIBERS:
            raise TooManySubscribers(f"this worker has {MAX_SUBSCRIBERS} subscribers")
        wanted = None if key is None else key.encode()
        subscription = EventSubscription(self, wanted, self._next_number)
        self._subscribers.setdefault(wanted, set()).add(subscription)
        self._count += 1
        self._wanted.set()
        try:
            async with asyncio.timeout(self._patience_seconds):
                await self._flowing.wait()
        except BaseException as why:
            self.leave(subscription)
            if isinstance(why, TimeoutError):
                raise BrokerUnreachable(f"the {self._what} cannot be read") from why
            raise
        return subscription

    def leave(self, subscription: EventSubscription) -> None:
        """Hand a subscriber nothing more. Idempotent."""
        subscribers = self._subscribers.get(subscription.key, set())
        if subscription not in subscribers:
            return
        subscribers.remove(subscription)
        if not subscribers:
            del self._subscribers[subscription.key]
        self._count -= 1
        self._left_at = self._clock.monotonic()

    # -- for the reader

    @property
    def is_wanted(self) -> bool:
        """Whether there are subscribers, or were a moment ago."""
        lingering = self._clock.monotonic() - self._left_at < LINGER_SECONDS
        return self._count > 0 or (self._wanted.is_set() and lingering)

    async def wanted(self) -> None:
        """Wait until there are subscribers."""
        await self._wanted.wait()

    @property
    def flows(self) -> bool:
        """Whether every record that is published comes."""
        return self._flowing.is_set()

    def begin(self) -> None:
        """From now on every record that is published will come."""
        self._flowing.set()

    def pause(self) -> None:
        """No record will come before the next `begin`. Only while there are no subscribers."""
        self._flowing.clear()
        self._wanted.clear()

    def take(self, key: bytes | None, value: bytes | None) -> None:
        """Hand on a record of a topic of the feed."""
        subscribers = [
            subscription
            for wanted in {key, None}
            for subscription in self._subscribers.get(wanted, ())
        ]
        if not subscribers:
            return
        event = _read(value)
        if event is None:
            said = "skipped an unreadable record of the %s"
            log.warning(said, self._what, extra=ONCE_A_MINUTE)
            return
        event_id = event["event_id"]
        before = self._numbers.pop(event_id, -1)
        for subscription in subscribers:
            # One that came later has not seen it yet.
            if before < subscription.since:
                subscription.offer(event)
        self._numbers[event_id] = self._next_number
        self._next_number += 1
        if len(self._numbers) > self._most_remembered:
            self._numbers.popitem(last=False)


def _read(value: bytes | None) -> FeedEvent | None:
    try:
        event = read_json_exactly(value or b"")
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return None
    if not isinstance(event, dict) or not isinstance(event.get("event_id"), str):
        return None
    return event
