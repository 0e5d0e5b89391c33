"""The answer topics on a real broker, read for subscribers."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiokafka
import orjson
import pytest

from agents.customer_lookup.topics import CUSTOMER_DATA_FETCHED, CUSTOMER_LOOKUP_FAILED
from posstream.domain.errors import BrokerUnreachable
from posstream.kafka.embedded_broker import EmbeddedBroker
from posstream.kafka.event_feed import LINGER_SECONDS, EventFeed, EventSubscription
from posstream.kafka.feed_reader import FeedReader
from posstream.kafka.preflight import prepare_topics
from posstream.plugins.discovery import find_plugins
from tests.integration.harness import free_port
from tests.manual_clock import ManualClock

PARTITIONS = 4
TOPICS = (CUSTOMER_DATA_FETCHED, CUSTOMER_LOOKUP_FAILED)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[EmbeddedBroker]:
    broker = EmbeddedBroker(free_port(), log_file=tmp_path / "broker.log")
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
async def servers(broker: EmbeddedBroker) -> list[str]:
    await prepare_topics(
        [broker.address], find_plugins().topics, partitions=PARTITIONS, replication=1
    )
    return [broker.address]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def feed(servers: list[str], clock: ManualClock) -> AsyncIterator[EventFeed]:
    feed = EventFeed(clock)
    reader = FeedReader(servers, feed, *TOPICS, name="answers")
    await reader.open(fetch_wait_ms=20)
    yield feed
    await reader.close()
    await reader.close()


@pytest.fixture
async def producer(servers: list[str]) -> AsyncIterator[aiokafka.AIOKafkaProducer]:
    producer = aiokafka.AIOKafkaProducer(bootstrap_servers=servers, linger_ms=50)
    await producer.start()
    yield producer
    await producer.stop()


async def publish(producer: aiokafka.AIOKafkaProducer, topic: str, *event_ids: str) -> None:
    """Write answers, in one batch for each partition."""
    sent = [
        await producer.send(
            topic,
            orjson.dumps({"event_id": event_id, "basket_id": f"basket_{event_id}"}),
            key=f"basket_{event_id}".encode(),
        )
        for event_id in event_ids
    ]
    await asyncio.gather(*sent)


async def seen(subscription: EventSubscription, count: int) -> set[str]:
    async with asyncio.timeout(20):
        return {(await anext(subscription))["event_id"] for _ in range(count)}


async def test_a_subscriber_sees_the_answers_of_both_topics_and_all_partitions_from_then_on(
    feed: EventFeed, producer: aiokafka.AIOKafkaProducer
) -> None:
    before = [f"old{n}" for n in range(20)]
    await publish(producer, CUSTOMER_DATA_FETCHED, *before)
    subscription = await feed.subscribe()
    found, failed = [f"found{n}" for n in range(20)], [f"failed{n}" for n in range(20)]
    await publish(producer, CUSTOMER_DATA_FETCHED, *found)
    await publish(producer, CUSTOMER_LOOKUP_FAILED, *failed)
    assert await seen(subscription, 40) == {*found, *failed}


async def test_after_a_time_without_subscribers_the_next_one_sees_only_what_is_new(
    feed: EventFeed, producer: aiokafka.AIOKafkaProducer, clock: ManualClock
) -> None:
    await (await feed.subscribe()).aclose()
    clock.advance(LINGER_SECONDS)
    while feed.flows:  # noqa: ASYNC110 - the reader looks once a second, and tells nobody
        await asyncio.sleep(0.05)
    meanwhile = [f"meanwhile{n}" for n in range(20)]
    await publish(producer, CUSTOMER_DATA_FETCHED, *meanwhile)
    subscription = await feed.subscribe()
    await publish(producer, CUSTOMER_DATA_FETCHED, "new")
    assert await seen(subscription, 1) == {"new"}


async def test_no_answer_is_lost_between_subscribing_and_reading(
    servers: list[str], producer: aiokafka.AIOKafkaProducer
) -> None:
    for attempt in range(5):
        feed = EventFeed(ManualClock())
        reader = FeedReader(servers, feed, *TOPICS, name="answers")
        await reader.open(fetch_wait_ms=20)
        subscription = await feed.subscribe()
        await publish(producer, CUSTOMER_DATA_FETCHED, *(f"{attempt}-{n}" for n in range(8)))
        assert await seen(subscription, 8) == {f"{attempt}-{n}" for n in range(8)}
        await reader.close()


async def test_subscribers_outlive_a_broker_that_is_away_for_a_moment(
    feed: EventFeed, broker: EmbeddedBroker
) -> None:
    subscription = await feed.subscribe()
    broker.stop()
    broker.start()
    await prepare_topics(
        [broker.address], find_plugins().topics, partitions=PARTITIONS, replication=1
    )
    producer = aiokafka.AIOKafkaProducer(bootstrap_servers=[broker.address])
    await producer.start()
    await publish(producer, CUSTOMER_LOOKUP_FAILED, "after")
    await producer.stop()
    async with asyncio.timeout(30):
        assert (await anext(subscription))["event_id"] == "after"


async def test_without_a_broker_a_subscriber_is_told_and_a_later_one_gets_through(
    broker: EmbeddedBroker,
) -> None:
    broker.stop()
    feed = EventFeed(ManualClock(), patience_seconds=3)
    reader = FeedReader([broker.address], feed, *TOPICS, name="answers")
    await reader.open(fetch_wait_ms=20)
    with pytest.raises(BrokerUnreachable):
        await feed.subscribe()
    broker.start()
    await prepare_topics(
        [broker.address], find_plugins().topics, partitions=PARTITIONS, replication=1
    )
    await (await feed.subscribe()).aclose()
    await reader.close()
