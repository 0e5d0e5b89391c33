"""What Apache Kafka refuses is known before a worker starts, in Kafka's own words."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from agents.customer_lookup.topics import CUSTOMER_IDENTIFIED
from posstream.domain.errors import StartRefused
from posstream.kafka.preflight import prepare_topics
from posstream.plugins.discovery import find_plugins
from tests.servers import kafka
from tests.servers.needed import need

pytestmark = pytest.mark.kafka


@pytest.fixture(scope="module")
def started() -> Iterator[kafka.Cluster]:
    need(kafka)
    with kafka.cluster() as cluster:
        yield cluster


@pytest.fixture
async def admin(started: kafka.Cluster) -> AsyncIterator[AIOKafkaAdminClient]:
    await started.ready()
    admin = AIOKafkaAdminClient(bootstrap_servers=started.servers)
    await admin.start()
    yield admin
    async with asyncio.timeout(30):
        while names := await admin.list_topics():
            await admin.delete_topics(names)
            await asyncio.sleep(0.1)
    await admin.close()


async def both_refuse(cluster: kafka.Cluster, *, replication: int = 1) -> str:
    sentences = []
    for only_ask in (True, False):
        with pytest.raises(StartRefused) as refused:
            await prepare_topics(
                cluster.servers,
                find_plugins().topics,
                partitions=2,
                replication=replication,
                only_ask=only_ask,
            )
        sentences.append(str(refused.value))
    asked, prepared = sentences
    assert asked == prepared
    return asked


async def test_asking_creates_no_topic(started: kafka.Cluster, admin: AIOKafkaAdminClient) -> None:
    async def missing(*, only_ask: bool) -> list[str]:
        _, names = await prepare_topics(
            started.servers, every, partitions=2, replication=1, only_ask=only_ask
        )
        return list(names)

    every = find_plugins().topics
    assert await missing(only_ask=True) == [spec.name for spec in every]
    assert await admin.list_topics() == []
    await missing(only_ask=False)
    assert await missing(only_ask=True) == []


async def test_more_copies_than_brokers(started: kafka.Cluster, admin: AIOKafkaAdminClient) -> None:
    sentence = await both_refuse(started, replication=3)
    first = find_plugins().topics[0].name
    assert sentence.startswith(f"topic {first} cannot be created: INVALID_REPLICATION_FACTOR: ")


async def test_a_topic_that_would_lose_events(
    started: kafka.Cluster, admin: AIOKafkaAdminClient
) -> None:
    policy = {"cleanup.policy": "compact"}
    await admin.create_topics([NewTopic(CUSTOMER_IDENTIFIED, 2, 1, topic_configs=policy)])
    sentence = await both_refuse(started)
    assert sentence.startswith(
        f"topic {CUSTOMER_IDENTIFIED} has cleanup.policy=compact, and Kafka would drop"
    )
    assert "set cleanup.policy=delete" in sentence
