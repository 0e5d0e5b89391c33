"""The topic `plugin-configuration` on a real broker: written, read to its end, and followed."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiokafka
import pytest

from agents.customer_lookup.configuration import LookupConfiguration
from posstream.configuration.configurations import Configurations
from posstream.configuration.editing import LiveConfiguration, Note
from posstream.configuration.follower import ConfigurationFollower
from posstream.configuration.record import write_record
from posstream.configuration.topic import ConfigurationReader, KafkaConfigurationTopic
from posstream.configuration.version import ConfigurationChange, ConfigurationVersion
from posstream.domain.errors import BrokerUnreachable, PublishFailed
from posstream.kafka.embedded_broker import EmbeddedBroker
from posstream.kafka.preflight import prepare_topics
from posstream.kafka.topics import PLUGIN_CONFIGURATION
from posstream.metrics import Metrics
from posstream.plugins.discovery import find_plugins
from tests.component.configuration_fakes import (
    FakeStore,
    RulesConfiguration,
    live_configuration,
    live_rules,
)
from tests.component.fakes import NOW
from tests.integration.harness import free_port

#: What the contract allows until every worker has a change in force.
LIVE_SECONDS = 2
PLUGIN = "customer_lookup"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[EmbeddedBroker]:
    """A fresh one for each test: it cannot forget only one topic."""
    broker = EmbeddedBroker(free_port(), log_file=tmp_path / "broker.log")
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
async def servers(broker: EmbeddedBroker) -> list[str]:
    servers = [broker.address]
    await prepare_topics(servers, find_plugins().topics, partitions=1, replication=1)
    return servers


@dataclass
class Worker:
    """One worker's reader, and when it has what in force."""

    live: LiveConfiguration[LookupConfiguration]
    reader: ConfigurationReader
    store: FakeStore

    async def reaches(self, version: int) -> None:
        reached = asyncio.Event()
        self.live.current.watch(lambda value: reached.set() if value.version == version else None)
        async with asyncio.timeout(LIVE_SECONDS):
            await reached.wait()


def a_worker(servers: list[str], store: FakeStore | None = None) -> Worker:
    store = store or FakeStore()
    live = live_configuration(store, KafkaConfigurationTopic(servers, PLUGIN))
    followers = {PLUGIN: ConfigurationFollower(live, Metrics())}
    return Worker(live, ConfigurationReader(servers, followers), store)


@pytest.fixture
async def workers(servers: list[str]) -> AsyncIterator[list[Worker]]:
    """Two workers that run, each with a database of its own."""
    workers = [a_worker(servers), a_worker(servers)]
    for worker in workers:
        await worker.reader.open(fetch_wait_ms=20)
        await worker.reader.settle()
    yield workers
    for worker in workers:
        await worker.reader.close()


def a_version(number: int, **config: object) -> ConfigurationVersion:
    return ConfigurationVersion(number, config=config, updated_at=NOW, updated_by="anna")


async def produce(servers: list[str], *records: tuple[str, bytes | None]) -> None:
    """Write keys and values in one batch, as any client could."""
    producer = aiokafka.AIOKafkaProducer(bootstrap_servers=servers, linger_ms=50)
    await producer.start()
    try:
        sent: list[Any] = [
            await producer.send(PLUGIN_CONFIGURATION, value, key=key.encode(), partition=0)
            for key, value in records
        ]
        await asyncio.gather(*sent)
    finally:
        await producer.stop()


async def test_an_edit_on_one_worker_is_in_force_on_the_other_within_2_seconds(
    workers: list[Worker],
) -> None:
    await workers[0].live.edit({"retry_attempts": 5}, enabled=False, note=Note(by="anna"))
    await workers[1].reaches(1)
    assert workers[1].live.current.value == workers[0].live.current.value
    assert workers[1].live.current.value.retry_attempts == 5


async def test_a_worker_starts_with_the_last_record_of_a_batch(servers: list[str]) -> None:
    records = [
        ("customer_lookup", write_record(a_version(number, retry_attempts=number)))
        for number in range(1, 10)
    ]
    await produce(servers, *records, ("another", write_record(a_version(99))))
    worker = a_worker(servers)
    await worker.reader.catch_up(fetch_wait_ms=20)
    await worker.reader.close()
    assert worker.live.current.value.retry_attempts == 9
    assert list(worker.store.changes) == [9]


async def test_a_bad_record_between_good_ones_stops_nobody(
    workers: list[Worker], servers: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        await produce(
            servers,
            ("customer_lookup", b"{"),
            ("customer_lookup", write_record(a_version(1, retry_attempts=99))),
            ("customer_lookup", write_record(a_version(2, retry_attempts=3))),
        )
        for worker in workers:
            await worker.reaches(2)
    assert sum("retry_attempts" in message for message in caplog.messages) == 2


async def test_a_worker_on_a_fresh_embedded_broker_starts_with_the_version_of_its_database(
    servers: list[str],
) -> None:
    last = a_version(6, retry_attempts=4)
    old = FakeStore({6: ConfigurationChange(last, old_enabled=True, old_config={})})
    first = a_worker(servers, old)
    await first.reader.open(fetch_wait_ms=20)
    await first.reader.settle()
    await first.reader.close()
    assert first.live.current.in_force == last

    another = a_worker(servers)
    await another.reader.catch_up(fetch_wait_ms=20)
    await another.reader.close()
    assert another.live.current.in_force == last, "the first one put it on the topic again"


async def test_closing_is_idempotent_and_ends_the_following(workers: list[Worker]) -> None:
    def following() -> int:
        return sum(task.get_name() == "plugin-configuration" for task in asyncio.all_tasks())

    assert following() == 2
    await workers[0].reader.close()
    await workers[0].reader.close()
    assert following() == 1


async def test_the_following_survives_a_broker_that_is_away_for_a_moment(
    workers: list[Worker], broker: EmbeddedBroker
) -> None:
    servers = [broker.address]
    await workers[0].live.edit({"retry_attempts": 5}, note=Note(by="anna"))
    await workers[1].reaches(1)
    broker.stop()
    with pytest.raises(PublishFailed):
        await KafkaConfigurationTopic(servers, PLUGIN).publish(a_version(2))
    broker.start()
    await prepare_topics(servers, find_plugins().topics, partitions=1, replication=1)
    arrived = asyncio.Event()
    workers[1].live.current.watch(lambda value: arrived.set() if value.version > 1 else None)
    # This broker forgets: the first record takes the offset of the one that was read.
    records = [write_record(a_version(1)), write_record(a_version(2, retry_attempts=6))]
    await produce(servers, *(("customer_lookup", record) for record in records))
    async with asyncio.timeout(30):
        await arrived.wait()
    assert workers[1].live.current.value.retry_attempts == 6


async def test_a_start_without_a_broker_says_so() -> None:
    worker = a_worker([f"127.0.0.1:{free_port()}"])
    with pytest.raises(BrokerUnreachable, match=r"^topic plugin-configuration cannot be read"):
        await worker.reader.open(fetch_wait_ms=20)


async def test_two_plugins_share_the_topic_and_neither_takes_the_other_s_records(
    servers: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    stores = {"customer_lookup": FakeStore(), "rules": FakeStore()}
    lookup = live_configuration(
        stores["customer_lookup"], KafkaConfigurationTopic(servers, "customer_lookup")
    )
    rules = live_rules(stores["rules"], KafkaConfigurationTopic(servers, "rules"))
    metrics = Metrics()
    followers = Configurations([lookup, rules], default="customer_lookup").followers(metrics)
    reader = ConfigurationReader(servers, followers)
    records = [
        ("customer_lookup", write_record(a_version(1, retry_attempts=4))),
        ("rules", write_record(a_version(7, warn_at=6))),
        ("of another worker", write_record(a_version(9, retry_attempts=9))),
    ]
    with caplog.at_level(logging.WARNING):
        await produce(servers, *records)
        await reader.open(fetch_wait_ms=20)
        await reader.settle()
        assert (lookup.current.value.retry_attempts, rules.current.value.warn_at) == (4, 6)

        changed = asyncio.Event()
        rules.current.watch(lambda value: changed.set() if value.warn_at == 8 else None)
        await produce(
            servers,
            ("customer_lookup", write_record(a_version(2, warn_at=8))),
            ("rules", write_record(a_version(8, warn_at=8))),
        )
        async with asyncio.timeout(LIVE_SECONDS):
            await changed.wait()
        await reader.close()
    assert lookup.current.value.version == 1, "a key of the other plugin is none of its own"
    assert ["warn_at" in message for message in caplog.messages] == [True]
    assert {name: sorted(store.changes) for name, store in stores.items()} == {
        "customer_lookup": [1],
        "rules": [7, 8],
    }
    in_force = "posstream_plugin_configuration_version"
    assert metrics.registry.get_sample_value(in_force, {"plugin": "rules"}) == 8
    assert metrics.registry.get_sample_value(in_force, {"plugin": "customer_lookup"}) == 1
    assert metrics.registry.get_sample_value("posstream_configuration_version") == 1


async def test_a_watcher_that_fails_stops_neither_its_plugin_nor_another_one(
    servers: list[str],
) -> None:
    def fail(value: RulesConfiguration) -> None:
        if value.version:
            raise RuntimeError

    lookup = live_configuration(FakeStore(), KafkaConfigurationTopic(servers, "customer_lookup"))
    rules = live_rules(FakeStore(), KafkaConfigurationTopic(servers, "rules"))
    rules.current.watch(fail)
    metrics = Metrics()
    followers = {live.plugin: ConfigurationFollower(live, metrics) for live in (rules, lookup)}
    await produce(
        servers,
        ("rules", write_record(a_version(1, warn_at=6))),
        ("customer_lookup", write_record(a_version(1, retry_attempts=4))),
    )
    reader = ConfigurationReader(servers, followers)
    await reader.catch_up(fetch_wait_ms=20)
    await reader.close()
    assert (rules.current.value.warn_at, lookup.current.value.retry_attempts) == (6, 4)
