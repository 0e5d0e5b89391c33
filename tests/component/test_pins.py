"""Names of aiokafka and Faust that are not public and that we use: each fails if it changes."""

import asyncio
import contextlib
import inspect
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import aiokafka
import faust
import pytest
import venusian
from aiokafka.consumer import fetcher
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.producer.message_accumulator import BatchBuilder
from faust.stores import rocksdb
from faust.tables.recovery import Recovery
from faust.transport.consumer import ThreadDelegateConsumer
from faust.transport.drivers import aiokafka as upstream
from faust.types import TP
from prometheus_client import Histogram

from agents.customer_lookup.topics import (
    CUSTOMER_DATA_FETCHED,
    CUSTOMER_IDENTIFIED,
)
from posstream.kafka.embedded_broker import EmbeddedBroker
from posstream.kafka.preflight import prepare_topics
from posstream.kafka.record import Record
from posstream.plugins.discovery import find_plugins
from posstream.streaming import patches
from posstream.streaming.app import StreamingApp
from posstream.streaming.lists.outbox import Outbox
from posstream.streaming.patches import records
from posstream.streaming.patches.joined_batch import encoded_headers
from tests.component.list_fakes import records_of
from tests.component.test_driver import app_for, consumer_of, thread_of
from tests.integration.harness import free_port


def names(function: Any) -> list[str]:
    """The parameters of a function, without `self`."""
    return [name for name in inspect.signature(function).parameters if name != "self"]


# -- aiokafka's batches


def test_the_compiled_builder_takes_offset_time_key_value_and_headers_in_this_order() -> None:
    builder = BatchBuilder(262_144, 0)
    append = builder._builder.append
    assert append(0, 1_700_000_000_000, b"k", b"v", [("h", b"x")]), "it says that there was room"
    assert append(1, 1_700_000_000_001, None, b"w", [])
    builder._relative_offset = 2
    builder.close()
    assert records_of("t", 0, builder) == [
        Record("t", b"k", b"v", [("h", b"x")], 0),
        Record("t", None, b"w", [], 0),
    ], "the order of parameters is another one: see patches.batch"


def test_the_compiled_builder_says_when_it_is_full_and_takes_a_first_record_of_any_size() -> None:
    append = BatchBuilder(100, 0)._builder.append
    assert append(0, 1, b"k", b"x" * 1000, []), "or a large answer could never be sent"
    assert not append(1, 1, b"k", b"x", []), "or no batch would ever be full: see outbox.Outbox"


def test_a_batch_counts_its_records_by_its_relative_offset() -> None:
    builder = BatchBuilder(262_144, 0)
    builder._relative_offset = 7
    assert builder.record_count() == 7, "the broker's numbers would be wrong: see patches.batch"


def test_the_producer_makes_and_takes_batches_as_we_call_it() -> None:
    assert names(aiokafka.AIOKafkaProducer.create_batch) == []
    assert names(aiokafka.AIOKafkaProducer.send_batch) == ["batch", "topic", "partition"]
    assert names(aiokafka.AIOKafkaProducer.partitions_for) == ["topic"]
    assert names(upstream.Producer._ensure_producer) == []


# -- aiokafka's reader


def test_the_fetcher_reads_by_the_classes_that_we_put_in_their_place() -> None:
    patches.install()
    assert fetcher.MemoryRecords is records.TolerantRecords
    assert fetcher.PartitionRecords is records.PartitionRecords
    names_used = fetcher.Fetcher._proc_fetch_request.__code__.co_names
    assert {"MemoryRecords", "PartitionRecords"} <= set(names_used), "it reads by others now"


def test_upstream_makes_consumer_records_where_we_leave_them_as_they_are() -> None:
    theirs: Any = records._UpstreamRecords
    assert names(theirs._consumer_record) == ["tp", "record"]
    assert "_consumer_record" in theirs._unpack_records.__code__.co_names, "it asks another one"


async def test_the_worker_asks_for_records_as_they_were_read(tmp_path: Path) -> None:
    app = app_for(tmp_path)
    consumer = thread_of(app)._create_worker_consumer(app.transport)
    await consumer.stop()
    assert consumer._key_deserializer is records.as_read
    start = aiokafka.AIOKafkaConsumer.start.__code__
    assert "_key_deserializer" in start.co_names, "its fetcher gets another one"


# -- prometheus


def test_a_histogram_is_a_sum_and_buckets_by_upper_bounds() -> None:
    histogram = Histogram("h", "h", buckets=[1, 2], registry=None)
    histogram._sum.inc(6)
    histogram._buckets[1].inc(4)
    assert histogram._upper_bounds == [1, 2, float("inf")]
    (family,) = histogram.collect()
    found = {(it.name, it.labels.get("le")): it.value for it in family.samples}
    assert (found["h_sum", None], found["h_count", None]) == (6, 4), "see metrics._Histogram"
    assert [found["h_bucket", le] for le in ("1.0", "2.0", "+Inf")] == [0, 4, 4]


# -- Faust


def test_what_we_override_is_called_as_upstream_calls_it() -> None:
    consumer: Any = upstream.Consumer
    thread: Any = upstream.AIOKafkaConsumerThread
    assert names(consumer._wait_next_records) == ["timeout"]
    assert names(consumer._getmany) == ["active_partitions", "timeout"]
    assert names(consumer.on_partitions_assigned) == ["assigned", "generation_id"]
    assert names(thread._fetch_records) == [
        *("consumer", "active_partitions", "timeout", "max_records"),
    ]
    assert names(thread.topic_partitions) == ["topic"]
    assert names(GroupCoordinator.fetch_committed_offsets) == ["partitions"]
    assert names(faust.Table._verify_source_topic_partitions) == ["source_topic"]
    assert names(Recovery._add) == ["table", "tp", "offsets"]
    assert names(rocksdb.Store.assign_partitions) == ["table", "tps", "generation_id"]
    assert names(rocksdb.Store.revoke_partitions) == ["table", "tps"]


async def test_the_fetch_loop_asks_for_the_next_records_where_we_take_them(tmp_path: Path) -> None:
    consumer = await consumer_of(upstream.Consumer, app_for(tmp_path))
    asked = []

    async def wait(timeout: float) -> Any:  # noqa: ASYNC109 - upstream's
        asked.append(timeout)
        return None, None

    consumer._wait_next_records = wait
    assert [it async for it in consumer.getmany(timeout=3)] == []
    assert asked == [3], "it takes its records elsewhere: see patches.consumer"


async def test_a_consumer_gets_its_records_from_its_thread(tmp_path: Path) -> None:
    consumer = await consumer_of(upstream.Consumer, app_for(tmp_path))
    assert isinstance(consumer, ThreadDelegateConsumer)
    thread, asked = consumer._thread, []

    async def call_thread(function: Any, *args: Any, **options: Any) -> Any:
        asked.append((function, args, options))
        return {}

    thread.call_thread = call_thread
    thread._consumer = there = SimpleNamespace(_max_poll_records=5)
    active = {TP("t", 0)}
    await consumer._getmany(active, 3)
    options = {"timeout": 3, "max_records": 5}
    assert asked == [(thread._fetch_records, (there, active), options)]


def test_what_is_answered_in_lists_is_subscribed_to(tmp_path: Path) -> None:
    app = app_for(tmp_path)
    answering: Any = SimpleNamespace()
    app.answer_lists([CUSTOMER_IDENTIFIED], answering)
    assert CUSTOMER_IDENTIFIED in asyncio.run(app.topics._update_indices()), "see app.topics.add"
    assert app.answering == {CUSTOMER_IDENTIFIED: answering}


def test_faust_notes_nothing_for_a_scan_of_modules(tmp_path: Path) -> None:
    app = app_for(tmp_path)
    agent: Any = app.agent(app.raw_topic(CUSTOMER_IDENTIFIED))(_consumes_nothing)
    assert not hasattr(agent, venusian.ATTACH_ATTR)


async def _consumes_nothing(stream: Any) -> None:
    """Stand for an agent."""


# -- all of it together, on a broker


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[EmbeddedBroker]:
    broker = EmbeddedBroker(free_port(), log_file=tmp_path / "broker.log")
    broker.start()
    try:
        await prepare_topics([broker.address], find_plugins().topics, partitions=2, replication=1)
        yield broker
    finally:
        broker.stop()


class Reading:
    """The worker's own consumer, on partitions that were given to it."""

    def __init__(self, app: StreamingApp, *tps: TP) -> None:
        self.thread: Any = thread_of(app)
        self.thread.consumer.flow_active = True
        self.consumer = self.thread._create_worker_consumer(app.transport)
        self.tps = set(tps)

    async def __aenter__(self) -> Self:
        await self.consumer.start()
        self.consumer.assign([aiokafka.TopicPartition(*tp) for tp in self.tps])
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.consumer.stop()

    async def fetch(self, count: int) -> dict[TP, list[Any]]:
        found: dict[TP, list[Any]] = {tp: [] for tp in self.tps}
        async with asyncio.timeout(20):
            while sum(map(len, found.values())) < count:
                some = await self.thread._fetch_records(self.consumer, self.tps, 0.2, 50)
                for tp, fetched in some.items():
                    found[TP(*tp)] += fetched
        return found


@contextlib.asynccontextmanager
async def started(app: StreamingApp) -> AsyncIterator[Any]:
    """The worker's own producer."""
    producer: Any = app.producer
    await producer.on_start()
    try:
        yield producer
    finally:
        await producer.on_stop()


async def test_what_goes_through_the_outbox_comes_back_as_it_was_put_in(
    tmp_path: Path, broker: EmbeddedBroker
) -> None:
    app = app_for(tmp_path, f"kafka://{broker.address}")
    headers = [("ce_id", b"1"), ("ä", b"\xff"), ("empty", b"")]
    keys = [b"basket-%d" % number for number in range(300)]
    async with started(app) as producer:
        partitions = await producer.partitions_of(CUSTOMER_DATA_FETCHED)
        assert partitions == 2
        outbox = Outbox(producer.new_batch, 1_700_000_000_123, {CUSTOMER_DATA_FETCHED: partitions})
        add = outbox.to(CUSTOMER_DATA_FETCHED)
        end = encoded_headers(headers)
        for key in keys:
            value = b"x" * 2500 + key
            add(key, len(value), (value, end), len(value) + len(end))
        batches = outbox.batches()
        assert len(batches) > partitions, "or no partition has a second one"
        async with asyncio.timeout(20):
            written = [await producer.send_batch(*batch) for batch in batches]
            where = [await it for it in written]
    tps = {TP(CUSTOMER_DATA_FETCHED, number) for number in range(partitions)}
    async with Reading(app, *tps) as reading:
        found = await reading.fetch(len(keys))
        assert reading.consumer._fetcher._key_deserializer is records.as_read

    assert [(it.topic, it.partition) for it in where] == [batch[:2] for batch in batches]
    every = [it for fetched in found.values() for it in fetched]
    assert sorted(it.key for it in every) == sorted(keys)
    for it in every:
        assert (it.value, list(it.headers)) == (b"x" * 2500 + it.key, headers)
        assert not isinstance(it, aiokafka.ConsumerRecord), "as it was read"
    for fetched in found.values():
        assert [it.offset for it in fetched] == list(range(len(fetched)))
        order = [keys.index(it.key) for it in fetched]
        assert order == sorted(order)
    # Upstream's own way of sending chooses the same partition, so one basket has one.
    async with aiokafka.AIOKafkaProducer(bootstrap_servers=broker.address) as theirs:
        for key in keys[:20]:
            told = await theirs.send_and_wait(CUSTOMER_DATA_FETCHED, b"v", key=key)
            (tp,) = (tp for tp, fetched in found.items() if any(it.key == key for it in fetched))
            assert told.partition == tp.partition


def test_each_fetch_reads_its_wait_and_its_bytes_anew() -> None:
    names = fetcher.Fetcher._get_actions_per_node.__code__.co_names
    assert {"_fetch_max_wait_ms", "_fetch_min_bytes"} <= set(names)


async def test_fetches_wait_longer_after_some_quiet_seconds(
    tmp_path: Path, broker: EmbeddedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = app_for(tmp_path, f"kafka://{broker.address}")
    tp = TP(CUSTOMER_DATA_FETCHED, 1)
    requested: list[int] = []

    class Requested(fetcher.FetchRequest):
        def __init__(self, max_wait_ms: int, *args: Any, **options: Any) -> None:
            requested.append(max_wait_ms)
            super().__init__(max_wait_ms, *args, **options)

    monkeypatch.setattr(fetcher, "FetchRequest", Requested)
    async with (
        aiokafka.AIOKafkaProducer(bootstrap_servers=broker.address) as producer,
        Reading(app, tp) as reading,
    ):
        reading.thread._is_placed = True
        await reading.thread._fetch_records(reading.consumer, {tp}, 0.2, 50)
        requested.clear()
        async with asyncio.timeout(20):
            while requested[-1:] != [250]:
                await reading.thread._fetch_records(reading.consumer, {tp}, 0.2, 50)
        assert set(requested[:5]) == {50}
        await producer.send_and_wait(tp.topic, b"v", partition=tp.partition)
        await reading.fetch(1)
        requested.clear()
        await reading.thread._fetch_records(reading.consumer, {tp}, 0.3, 50)
        assert requested[-1] == 50


async def test_while_tables_are_recovered_no_request_waits_long_behind_a_fetch(
    tmp_path: Path, broker: EmbeddedBroker
) -> None:
    """Kafka answers the requests of a connection one after the other."""
    app = app_for(tmp_path, f"kafka://{broker.address}")
    tp = TP(CUSTOMER_DATA_FETCHED, 1)

    async def recovers(*_: object) -> None:
        for _ in range(2):
            await thread._fetch_records(reading.consumer, {tp}, 0.1, 50)

    async with Reading(app, tp) as reading:
        thread = reading.thread
        thread._consumer = reading.consumer
        thread._is_placed = True
        thread.consumer.threadsafe_partitions_assigned = recovers
        await thread._fetch_records(reading.consumer, {tp}, 0.1, 50)
        fetcher = reading.consumer._fetcher
        before = fetcher._fetch_max_wait_ms
        fetcher._fetch_min_bytes = 64 * 1024  # as of a busy consumer
        await thread.on_partitions_assigned({tp})
        after = fetcher._fetch_max_wait_ms
    assert (before, after, fetcher._fetch_min_bytes) == (50, 20, 1)


async def test_a_fetch_without_time_brings_what_is_there_and_waits_for_nothing(
    tmp_path: Path, broker: EmbeddedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So tills come first, though upstream fetches all partitions alike (`consumer_thread`)."""
    app = app_for(tmp_path, f"kafka://{broker.address}")
    app.answering[CUSTOMER_IDENTIFIED] = SimpleNamespace()
    tps = [TP(CUSTOMER_IDENTIFIED, 0), TP(CUSTOMER_DATA_FETCHED, 0)]
    async with (
        aiokafka.AIOKafkaProducer(bootstrap_servers=broker.address) as producer,
        Reading(app, *tps) as reading,
    ):
        waits: list[float] = []
        fetched_records = reading.consumer._fetcher.fetched_records

        async def noted(*args: Any, **options: Any) -> Any:
            waits.append(options["timeout"])
            return await fetched_records(*args, **options)

        monkeypatch.setattr(reading.consumer._fetcher, "fetched_records", noted)
        await reading.thread._fetch_records(reading.consumer, set(tps), 0.01, 50)
        assert waits == [0, 0.01], "tills have nothing: then whatever comes"
        for tp in tps:
            await producer.send_and_wait(tp.topic, b"v", partition=tp.partition)
        found = await reading.fetch(2)
        assert {tp: len(fetched) for tp, fetched in found.items()} == dict.fromkeys(tps, 1)
