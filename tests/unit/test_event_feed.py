"""The feed of answers: who gets which, once, and who is sent away."""

import asyncio
import logging
from typing import Any

import orjson
import pytest

from posstream.domain.errors import BrokerUnreachable, SubscriberTooSlow, TooManySubscribers
from posstream.json.writing import write_json
from posstream.kafka.event_feed import (
    LINGER_SECONDS,
    MAX_SUBSCRIBERS,
    MAX_WAITING,
    EventFeed,
    EventSubscription,
)
from tests.manual_clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def feed(clock: ManualClock) -> EventFeed:
    """A feed whose topics are being read."""
    feed = EventFeed(clock)
    feed.begin()
    return feed


def take(feed: EventFeed, event_id: str, basket_id: str = "basket_1") -> None:
    feed.take(basket_id.encode(), orjson.dumps({"event_id": event_id, "basket_id": basket_id}))


async def seen(subscription: EventSubscription, count: int) -> list[Any]:
    async with asyncio.timeout(5):
        return [(await anext(subscription))["event_id"] for _ in range(count)]


async def test_a_subscriber_of_a_basket_gets_its_answers_and_no_others(feed: EventFeed) -> None:
    subscription = await feed.subscribe("basket_1")
    take(feed, "other", "basket_2")
    take(feed, "first")
    take(feed, "second")
    assert await seen(subscription, 2) == ["first", "second"]


async def test_numbers_in_an_answer_are_handed_on_as_they_are(feed: EventFeed) -> None:
    subscription = await feed.subscribe("basket_1")
    value = b'{"event_id":"e","customer":{"attributes":{"n":12345678901234567890123,"m":1.50}}}'
    feed.take(b"basket_1", value)
    assert write_json(await anext(subscription)) == value


async def test_a_subscriber_without_a_basket_gets_all(feed: EventFeed) -> None:
    subscription = await feed.subscribe()
    take(feed, "one", "basket_1")
    take(feed, "two", "basket_2")
    assert await seen(subscription, 2) == ["one", "two"]


async def test_a_repeated_answer_is_handed_out_once(feed: EventFeed) -> None:
    subscription = await feed.subscribe("basket_1")
    for event_id in ("first", "first", "second", "first", "third"):
        take(feed, event_id)
    assert await seen(subscription, 3) == ["first", "second", "third"]


async def test_whoever_came_between_an_answer_and_its_repetition_gets_the_repetition_once(
    feed: EventFeed,
) -> None:
    early = await feed.subscribe()
    take(feed, "first")
    late = await feed.subscribe()
    take(feed, "first")
    take(feed, "first")
    take(feed, "last")
    assert await seen(early, 2) == ["first", "last"]
    assert await seen(late, 2) == ["first", "last"]


async def test_the_memory_of_what_was_handed_out_is_bounded(clock: ManualClock) -> None:
    feed = EventFeed(clock, most_remembered=3)
    feed.begin()
    subscription = await feed.subscribe()
    for number in range(5):
        take(feed, str(number))
    take(feed, "4")
    take(feed, "0")
    assert await seen(subscription, 6) == ["0", "1", "2", "3", "4", "0"]


async def test_a_subscriber_who_does_not_read_is_ended_and_the_others_are_not(
    feed: EventFeed,
) -> None:
    slow = await feed.subscribe()
    quick = await feed.subscribe()
    for number in range(MAX_WAITING + 1):
        take(feed, str(number))
        await anext(quick)
    with pytest.raises(SubscriberTooSlow):
        await anext(slow)
    take(feed, "next")
    assert await seen(quick, 1) == ["next"]


async def test_there_are_only_so_many_subscribers(feed: EventFeed) -> None:
    subscriptions = [await feed.subscribe(f"basket_{n}") for n in range(MAX_SUBSCRIBERS)]
    with pytest.raises(TooManySubscribers):
        await feed.subscribe()
    await subscriptions[0].aclose()
    await subscriptions[0].aclose()
    await feed.subscribe()
    with pytest.raises(TooManySubscribers):
        await feed.subscribe()


async def test_a_subscription_stands_only_when_the_topics_are_read(clock: ManualClock) -> None:
    feed = EventFeed(clock)
    subscribing = asyncio.create_task(feed.subscribe())
    await feed.wanted()
    assert not subscribing.done()
    feed.begin()
    take(feed, "first")
    assert await seen(await subscribing, 1) == ["first"]


async def test_a_subscriber_is_told_when_the_topics_cannot_be_read(
    clock: ManualClock,
) -> None:
    feed = EventFeed(clock, patience_seconds=0.01)
    with pytest.raises(BrokerUnreachable):
        await feed.subscribe()
    clock.advance(LINGER_SECONDS)
    assert not feed.is_wanted, "it has left"


async def test_the_topics_are_read_on_for_a_while_after_the_last_one_left(
    feed: EventFeed, clock: ManualClock
) -> None:
    assert not feed.is_wanted
    subscription = await feed.subscribe()
    clock.advance(LINGER_SECONDS * 10)
    assert feed.is_wanted
    await subscription.aclose()
    clock.advance(LINGER_SECONDS - 1)
    assert feed.is_wanted
    clock.advance(1)
    assert not feed.is_wanted


@pytest.mark.parametrize(
    "value", [None, b"", b"{", b"[]", b"null", b'{"event_id": 1}', b"{}", b'"\xff"']
)
async def test_what_is_no_answer_is_shown_to_nobody(
    feed: EventFeed, value: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    subscription = await feed.subscribe()
    with caplog.at_level(logging.WARNING):
        feed.take(b"basket_1", value)
    take(feed, "good")
    assert await seen(subscription, 1) == ["good"]
    assert len(caplog.messages) == 1
