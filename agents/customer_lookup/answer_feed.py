"""Hands published answers to the subscribers on this worker. No I/O.

One reader (`answer_topics.py`) feeds the answers in, and only while there are subscribers: without
them a busy worker does not read its own answers.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final, Self

import orjson

from posstream.domain.errors import BrokerUnreachable, SubscriberTooSlow, TooManySubscribers
from posstream.json.reading import read_json_exactly
from posstream.resilience.clock import Clock

log = logging.getLogger(__name__)

#: Subscribers of one worker.
MAX_SUBSCRIBERS: Final = 1000
#: Answers that wait for one subscriber. They are shared among subscribers, not copied.
MAX_WAITING: Final = 1000
#: Ids of answers that were handed out. A crash or a rebalance repeats what came last.
MAX_REMEMBERED: Final = 50_000
#: How long a first subscriber waits until the topics are read.
PATIENCE_SECONDS: Final = 5.0
#: How long the topics are read after the last subscriber left: tills subscribe for each basket.
LINGER_SECONDS: Final = 60.0

#: One answer, as the event on its topic.
AnswerEvent = Mapping[str, Any]


class AnswerSubscription(AsyncIterator[AnswerEvent]):
    """One subscriber's answers: each one that is published from its start on, once."""

    def __init__(self, feed: "AnswerFeed", key: bytes | None, since: int) -> None:
        self.key = key
        #: Number of the first answer that this subscriber has not seen.
        self.since = since
        self._feed = feed
        self._waiting: asyncio.Queue[AnswerEvent] = asyncio.Queue(MAX_WAITING)
        self._too_slow = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> AnswerEvent:
        """The next answer.

        Raises:
            SubscriberTooSlow: if more were published than may wait.
        """
        if self._too_slow:
            raise SubscriberTooSlow(f"more than {MAX_WAITING} answers were waiting")
        return await self._waiting.get()

    async def aclose(self) -> None:
        """End it. Idempotent."""
        self._feed.leave(self)

    def offer(self, answer: AnswerEvent) -> None:
        """Let an answer wait for the subscriber, or end the subscription if too many do."""
        try:
            self._waiting.put_nowait(answer)
        except asyncio.QueueFull:
            self._too_slow = True
            self._feed.leave(self)


class AnswerFeed:
    """Hands out the answers of one worker's reader."""

    def __init__(
        self,
        clock: Clock,
        *,
        patience_seconds: float = PATIENCE_SECONDS,
        most_remembered: int = MAX_REMEMBERED,
    ) -> None:
        self._clock = clock
        self._patience_seconds = patience_seconds
        self._most_remembered = most_remembered
        #: By the key of the records that they subscribed to; None: all records.
        self._subscribers: dict[bytes | None, set[AnswerSubscription]] = {}
        self._count = 0
        self._left_at = 0.0
        self._wanted = asyncio.Event()
        self._flowing = asyncio.Event()
        self._numbers: OrderedDict[str, int] = OrderedDict()
        self._next_number = 0

    # -- for subscribers

    async def subscribe(self, basket_id: str | None = None) -> AnswerSubscription:
        """Every answer that is published from now on, of one basket or of all.

        Raises:
            TooManySubscribers: if this worker has enough.
            BrokerUnreachable: if the topics cannot be read.
        """
        if self._count >= MAX_SUBSCRIBERS:
            raise TooManySubscribers(f"this worker has {MAX_SUBSCRIBERS} subscribers")
        key = None if basket_id is None else basket_id.encode()
        subscription = AnswerSubscription(self, key, self._next_number)
        self._subscribers.setdefault(key, set()).add(subscription)
        self._count += 1
        self._wanted.set()
        try:
            async with asyncio.timeout(self._patience_seconds):
                await self._flowing.wait()
        except BaseException as why:
            self.leave(subscription)
            if isinstance(why, TimeoutError):
                raise BrokerUnreachable("the answer topics cannot be read") from why
            raise
        return subscription

    def leave(self, subscription: AnswerSubscription) -> None:
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
        """Hand on a record of an answer topic; answers are keyed by their basket."""
        subscribers = [
            subscription
            for wanted in {key, None}
            for subscription in self._subscribers.get(wanted, ())
        ]
        if not subscribers:
            return
        answer = _read(value)
        if answer is None:
            log.warning("an answer topic has a record that is no answer; it is skipped")
            return
        event_id = answer["event_id"]
        before = self._numbers.pop(event_id, -1)
        for subscription in subscribers:
            # One that came later has not seen it yet.
            if before < subscription.since:
                subscription.offer(answer)
        self._numbers[event_id] = self._next_number
        self._next_number += 1
        if len(self._numbers) > self._most_remembered:
            self._numbers.popitem(last=False)


def _read(value: bytes | None) -> AnswerEvent | None:
    try:
        answer = read_json_exactly(value or b"")
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return None
    if not isinstance(answer, dict) or not isinstance(answer.get("event_id"), str):
        return None
    return answer
