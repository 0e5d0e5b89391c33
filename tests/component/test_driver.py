"""The overrides of Faust's driver. Each test fails on the driver as it comes from upstream."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import aiokafka
import orjson
import pytest
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import OffsetAndMetadata
from faust.exceptions import ConsistencyError
from faust.transport.drivers import aiokafka as upstream
from faust.types import TP

from agents.customer_lookup.topics import CACHE_COMMANDS, CUSTOMER_IDENTIFIED
from posstream.domain.errors import StartRefused
from posstream.kafka.embedded_broker import EmbeddedBroker
from posstream.kafka.preflight import prepare_topics
from posstream.kafka.record import Record
from posstream.kafka.tuning import (
    BUFFER_MAXSIZE,
    EMBEDDED_TUNING,
    MAX_POLL_RECORDS,
    Tuning,
    max_poll_records,
)
from posstream.plugins.discovery import find_plugins
from posstream.settings import Settings
from posstream.streaming.app import StreamingApp
from posstream.streaming.lists import lanes
from posstream.streaming.lists.lanes import Event
from posstream.streaming.lists.outbox import Outbox
from posstream.streaming.patches.consumer import Consumer
from posstream.streaming.patches.consumer_thread import ConsumerThread
from tests.component.list_fakes import FakeProducer, Fetched, a_while, soon
from tests.integration.harness import free_port

SOURCE = TP("t", 0)


def app_for(tmp_path: Any, broker: str = "kafka://127.0.0.1:1") -> StreamingApp:
    app = StreamingApp("test", broker=broker, datadir=tmp_path, partitions=1)
    app.tune(EMBEDDED_TUNING)
    return app


async def nothing(*_: object, **__: object) -> None:
    """What Faust would do, left out."""


async def consumer_of(kind: type, app: StreamingApp) -> Any:
    """A consumer that was never started."""
    app.topics._acking_topics.add(SOURCE.topic)
    consumer = kind(
        app.transport,
        callback=lambda _: None,
        on_partitions_revoked=None,
        on_partitions_assigned=None,
    )
    consumer._thread.thread_loop.close()  # made for a thread that these tests do not start
    return consumer


upstream_thread = upstream.AIOKafkaConsumerThread


def thread_of(app: StreamingApp, kind: type = ConsumerThread) -> Any:
    """The consumer's thread object, without the thread."""
    owner = SimpleNamespace(
        transport=app.transport, in_transaction=False, app=app, RebalanceListener=lambda _: None
    )
    thread = kind(owner)
    thread.thread_loop.close()
    return thread


class Held:
    """A message that a stream holds (weakly referenced by the consumer)."""

    def __init__(self, offset: int) -> None:
        self.tp, self.topic, self.offset, self.acked = SOURCE, SOURCE.topic, offset, False


def commit_of(consumer: Any) -> int | None:
    """The offset that a commit would write now; None if it would leave the partition alone."""
    tps = consumer._filter_tps_with_pending_acks()
    offset: int | None = consumer._filter_committable_offsets(tps).get(SOURCE)
    if offset is not None:
        consumer._committed_offset[SOURCE] = offset
    return offset


@pytest.mark.parametrize(("kind", "commits"), [(Consumer, [None, 3]), (upstream.Consumer, [3])])
async def test_no_commit_goes_past_an_event_in_flight(
    tmp_path: Any, kind: type, commits: list[int | None]
) -> None:
    consumer = await consumer_of(kind, app_for(tmp_path))
    if kind is Consumer:
        consumer._progress.begin({SOURCE: 0})
    held = [Held(offset) for offset in range(3)]
    consumer._unacked_messages.update(held)
    consumer.ack(held[1])
    consumer.ack(held[2])
    found = [commit_of(consumer)]
    if kind is Consumer:
        consumer.ack(held[0])
        found.append(commit_of(consumer))
    assert found == commits


async def test_a_message_is_acked_once_and_changelogs_are_not_committed(tmp_path: Any) -> None:
    consumer = await consumer_of(Consumer, app_for(tmp_path))
    held = Held(0)
    consumer._unacked_messages.add(held)
    assert [consumer.ack(held), consumer.ack(held)] == [True, False]
    assert not consumer._unacked_messages
    other = Held(0)
    other.tp, other.topic = TP("changelog", 0), "changelog"
    consumer.ack(other)
    consumer._progress.begin({SOURCE: 0, other.tp: 0})
    assert [consumer._new_offset(tp) for tp in (SOURCE, other.tp)] == [1, None]


async def test_a_new_assignment_commits_nothing_before_it_was_sought(tmp_path: Any) -> None:
    consumer = await consumer_of(Consumer, app_for(tmp_path))
    consumer._progress.begin({SOURCE: 0})
    consumer.ack(Held(0))

    consumer._on_partitions_assigned = nothing
    await consumer.on_partitions_assigned({SOURCE}, 2)
    consumer.ack(Held(7))
    assert commit_of(consumer) is None


async def test_a_cache_command_in_hand_holds_up_no_rebalance(tmp_path: Any) -> None:
    """It may wait for a partition that this rebalance brings."""
    app = app_for(tmp_path)
    consumer = await consumer_of(Consumer, app)
    consumer._unacked_messages.add(held := Held(0))
    assert consumer._waited_for() == 1
    held.topic = CACHE_COMMANDS
    assert consumer._waited_for() == 1
    app.failures = None
    app.consume(CACHE_COMMANDS, lambda _: None, waited_for=False)
    assert consumer._waited_for() == 0


async def test_upstream_s_alarm_for_streams_is_off(
    tmp_path: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """It takes every topic without a stream that lags for one that is stuck."""
    consumer = await consumer_of(Consumer, app_for(tmp_path))
    consumer.verify_event_path(time.monotonic() + 3600, SOURCE)
    assert caplog.records == []


async def test_waiting_for_events_in_flight_ends(tmp_path: Any) -> None:
    app = app_for(tmp_path)
    app.tune(replace(EMBEDDED_TUNING, drain_seconds=0.05))
    consumer = await consumer_of(Consumer, app)
    held = Held(0)
    consumer._unacked_messages.add(held)

    async def commit(*_: object, **__: object) -> bool:
        return False

    consumer.commit = commit
    async with asyncio.timeout(5):
        await consumer.wait_empty()
    assert held in consumer._unacked_messages


@pytest.mark.parametrize(("kind", "in_time"), [(Consumer, True), (upstream.Consumer, False)])
async def test_nobody_waits_for_messages_of_a_topic_that_is_not_waited_for(
    tmp_path: Any, kind: type, *, in_time: bool
) -> None:
    app = app_for(tmp_path)
    app.not_waited_for = frozenset({CACHE_COMMANDS})
    app.tune(replace(EMBEDDED_TUNING, drain_seconds=60))
    app.not_waited_for = frozenset({CACHE_COMMANDS})
    consumer = await consumer_of(kind, app)
    held = Held(0)
    held.topic = CACHE_COMMANDS
    consumer._unacked_messages.add(held)

    async def commit(*_: object, **__: object) -> bool:
        return False

    consumer.commit = consumer.force_commit = commit
    waiting = asyncio.ensure_future(consumer.wait_empty())
    await asyncio.wait([waiting], timeout=30 if in_time else 0.5)
    assert waiting.done() is in_time
    if not in_time:  # it swallows cancellation
        consumer._unacked_messages.clear()
        await waiting


async def test_the_fetch_wait_is_ours_and_not_the_1500_ms_of_upstream(tmp_path: Any) -> None:
    app = app_for(tmp_path)
    ours = thread_of(app)
    consumer = ours._create_worker_consumer(app.transport)
    waits = consumer._fetch_max_wait_ms
    await consumer.stop()
    assert waits == 20, "until the tables are recovered"
    assert aiokafka.__version__ == "0.14.0", "look whether the private name still does it"


@pytest.mark.parametrize(
    ("session", "heartbeat", "request_timeout"), [(6, 1, 90), (30, 3, 90), (300, 30, 310)]
)
async def test_any_session_timeout_can_be_joined_with(
    tmp_path: Any, session: int, heartbeat: int, request_timeout: int
) -> None:
    app = app_for(tmp_path)
    app.tune(replace(EMBEDDED_TUNING, session_timeout_seconds=session))
    consumer = thread_of(app)._create_worker_consumer(app.transport)
    try:
        assert consumer._session_timeout_ms == session * 1000
        assert consumer._heartbeat_interval_ms == heartbeat * 1000
        assert consumer._request_timeout_ms == request_timeout * 1000
    finally:
        await consumer.stop()


async def test_a_topic_with_another_number_of_partitions_is_refused_with_a_sentence(
    tmp_path: Any,
) -> None:
    broker = EmbeddedBroker(free_port(), log_file=tmp_path / "broker.log")
    broker.start()
    try:
        servers, plugins = [broker.address], find_plugins()
        await prepare_topics(servers, plugins.topics, partitions=2, replication=1)
        with pytest.raises(StartRefused) as refused:
            await prepare_topics(
                servers, plugins.topics, tables=plugins.tables, partitions=3, replication=1
            )
        assert "topic pos-events has 2 partitions" in str(refused.value)
        assert "POSSTREAM_TOPIC_PARTITIONS is 3" in str(refused.value)
        assert "Set POSSTREAM_TOPIC_PARTITIONS=2" in str(refused.value)
    finally:
        broker.stop()


def record(offset: int) -> Any:
    return aiokafka.ConsumerRecord(
        *SOURCE,
        offset=offset,
        timestamp=1,
        timestamp_type=0,
        key=None,
        value=b"",
        checksum=None,
        serialized_key_size=0,
        serialized_value_size=0,
        headers=(),
    )


async def test_a_message_notes_when_it_arrived(tmp_path: Any) -> None:
    consumer = await consumer_of(Consumer, app_for(tmp_path))
    message = consumer._to_message(SOURCE, record(0))
    assert time.monotonic() - message.arrived_at < 60


async def test_a_message_is_made_of_a_record_as_it_was_read(tmp_path: Any) -> None:
    batch = BatchBuilder(1000, 0)
    batch.append(timestamp=1_700_000_000_123, key=b"k", value=None, headers=[("h", b"x")])
    (read,) = MemoryRecords(bytes(batch._build())).next_batch()
    consumer = await consumer_of(Consumer, app_for(tmp_path))
    message = consumer._to_message(SOURCE, read)
    assert (message.topic, message.partition, message.offset) == (*SOURCE, 0)
    assert (message.key, message.value, list(message.headers)) == (b"k", None, [("h", b"x")])
    assert message.timestamp == 1_700_000_000.123


async def test_what_a_seek_brings_again_is_not_dropped(tmp_path: Any) -> None:
    consumer = await consumer_of(Consumer, app_for(tmp_path))
    consumer._read_offset[SOURCE] = 2  # as the drain notes it
    consumer._to_message(SOURCE, record(0))
    assert consumer._read_offset[SOURCE] is None


@pytest.mark.parametrize(
    ("lists", "holes"),
    [
        ([[3, 4], [5]], []),
        ([[5, 6]], [(3, 5)]),  # expired, or compacted
        ([[3, 4, 7], [9]], [(5, 7), (8, 9)]),  # markers of transactions
    ],
)
async def test_offsets_that_the_log_does_not_have_are_holes(
    tmp_path: Any,
    monkeypatch: pytest.MonkeyPatch,
    lists: list[list[int]],
    holes: list[tuple[int, int]],
) -> None:
    thread = thread_of(app_for(tmp_path))
    thread._fetched_to[SOURCE] = 3
    coming = iter(lists)

    async def fetch(*_: object, **__: object) -> Any:
        return {SOURCE: [record(offset) for offset in next(coming)]}

    monkeypatch.setattr(upstream_thread, "_fetch_records", fetch)
    for _ in lists:
        await thread._fetch_records(At({}), {SOURCE})
    assert list(thread.holes) == [(SOURCE, *hole) for hole in holes]


async def test_a_log_that_begins_anew_without_a_seek_ends_the_worker(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    thread = thread_of(app_for(tmp_path))
    thread._fetched_to[SOURCE] = 3

    async def fetch(*_: object, **__: object) -> Any:
        return {SOURCE: [record(0), record(1)]}

    monkeypatch.setattr(upstream_thread, "_fetch_records", fetch)
    with pytest.raises(ConsistencyError, match="offset 0 came where 3 was next"):
        await thread._fetch_records(At({}), {SOURCE})


class Group:
    """aiokafka's consumer of a group whose commit may lie anywhere."""

    def __init__(self, committed: int | None) -> None:
        self.sought: dict[TP, int] = {}
        self._committed = committed
        self._coordinator = self
        self._fetcher = SimpleNamespace(_fetch_max_wait_ms=20)

    def assignment(self) -> set[TP]:
        return {SOURCE}

    async def fetch_committed_offsets(self, tps: list[TP]) -> dict[TP, OffsetAndMetadata]:
        if self._committed is None:
            return {}
        return dict.fromkeys(tps, OffsetAndMetadata(self._committed, ""))

    async def beginning_offsets(self, tps: list[TP]) -> dict[TP, int]:
        return dict.fromkeys(tps, 2)

    async def end_offsets(self, tps: list[TP]) -> dict[TP, int]:
        return dict.fromkeys(tps, 10)

    def seek(self, tp: TP, offset: int) -> None:
        self.sought[TP(*tp)] = offset


@pytest.mark.parametrize(("committed", "sought"), [(None, 2), (5, 5), (10, 10), (11, 2)])
async def test_a_commit_beyond_the_end_is_none(
    tmp_path: Any, committed: int | None, sought: int
) -> None:
    app = app_for(tmp_path)
    app.tune(Tuning())
    thread = thread_of(app)
    thread._consumer = group = Group(committed)
    assert await thread._seek_to_committed() == {SOURCE: sought}
    assert group.sought == {SOURCE: sought}
    assert thread._is_placed
    assert group._fetcher._fetch_max_wait_ms == app.tuning.fetch_wait_ms


async def test_a_seek_in_the_middle_of_a_list_is_no_hole(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    consumer = await consumer_of(Consumer, app_for(tmp_path))
    thread = consumer._thread
    consumer._progress.begin({SOURCE: 3})

    async def fetch(*_: object, **__: object) -> Any:
        return {SOURCE: [record(offset) for offset in range(3, 61)]}

    monkeypatch.setattr(upstream_thread, "_fetch_records", fetch)
    for _ in range(2):
        thread._fetched_to[SOURCE] = 3  # as the seek sets it
        await thread._fetch_records(At({}), {SOURCE})
        consumer.ack(Held(60))
    assert commit_of(consumer) == 3, "3 to 59 wait in a buffer"


async def test_what_is_committed_is_not_committed_again(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def commit(*_: object) -> bool:
        return True

    monkeypatch.setattr(upstream.Consumer, "_commit", commit)
    consumer = await consumer_of(Consumer, app_for(tmp_path))
    consumer._progress.begin({SOURCE: 5})
    consumer.ack(Held(5))
    assert commit_of(consumer) == 6
    await consumer._commit({SOURCE: 6})
    consumer._committed_offset.pop(SOURCE, None)  # as a revocation does
    assert commit_of(consumer) is None
    consumer.ack(Held(6))
    assert commit_of(consumer) == 7


async def test_holes_are_taken_into_the_next_commit(tmp_path: Any) -> None:
    consumer = await consumer_of(Consumer, app_for(tmp_path))
    consumer._progress.begin({SOURCE: 5})
    consumer.ack(Held(5))
    consumer._thread.holes.append((SOURCE, 6, 9))
    assert commit_of(consumer) == 9


async def test_one_step_of_the_event_loop_answers_at_most_a_thousand_events(
    tmp_path: Any,
) -> None:
    """However many wait, and in however many partitions: a step must stay short."""
    broker = EmbeddedBroker(free_port(), log_file=tmp_path / "broker.log")
    broker.start()
    consumer = producer = None
    try:
        topics = find_plugins().topics
        await prepare_topics([broker.address], topics, partitions=16, replication=1)
        producer = aiokafka.AIOKafkaProducer(bootstrap_servers=broker.address)
        await producer.start()
        tps = [TP(CUSTOMER_IDENTIFIED, number) for number in range(16)]
        for tp in tps:
            batch = producer.create_batch()
            for _ in range(300):
                batch.append(key=None, value=b"{}", timestamp=None)
            await (await producer.send_batch(batch, tp.topic, partition=tp.partition))
        app = app_for(tmp_path, f"kafka://{broker.address}")
        nobody: Any = None
        app.answering[CUSTOMER_IDENTIFIED] = nobody
        thread = thread_of(app)
        thread.consumer.flow_active = True
        consumer = aiokafka.AIOKafkaConsumer(
            bootstrap_servers=broker.address, auto_offset_reset="earliest"
        )
        thread._ensure_consumer = lambda: consumer
        await consumer.start()
        consumer.assign([aiokafka.TopicPartition(*tp) for tp in tps])
        counts: list[int] = []
        while sum(counts) < 16 * 300:
            fetched = await thread._fetch_records(consumer, set(tps), 5.0, MAX_POLL_RECORDS)
            counts.append(sum(map(len, fetched.values())))
            assert counts[-1], "the rest does not come"
        assert max(counts) == 1000
    finally:
        for client in (consumer, producer):
            if client is not None:
                await client.stop()
        broker.stop()


@pytest.mark.parametrize(("waiting", "taken"), [(30, [30, 70]), (1500, [75, 25])])
async def test_topics_that_a_plugin_wants_first_are_taken_first_and_the_others_go_on(
    tmp_path: Any, waiting: int, taken: list[int]
) -> None:
    broker = EmbeddedBroker(free_port(), log_file=tmp_path / "broker.log")
    broker.start()
    consumer = producer = None
    try:
        await prepare_topics([broker.address], find_plugins().topics, partitions=1, replication=1)
        producer = aiokafka.AIOKafkaProducer(bootstrap_servers=broker.address)
        await producer.start()
        many, first = TP("pos-events", 0), TP("basket-started", 0)
        for tp, count in ((many, 1500), (first, waiting)):
            batch = producer.create_batch()
            for _ in range(count):
                batch.append(key=None, value=b"{}", timestamp=None)
            await (await producer.send_batch(batch, tp.topic, partition=tp.partition))
        app = app_for(tmp_path, f"kafka://{broker.address}")
        app.answer_lists([many.topic, first.topic], Any, at_once=100, first=[first.topic])
        thread = thread_of(app)
        thread.consumer.flow_active = True
        consumer = aiokafka.AIOKafkaConsumer(
            bootstrap_servers=broker.address, auto_offset_reset="earliest"
        )
        thread._ensure_consumer = lambda: consumer
        await consumer.start()
        consumer.assign([aiokafka.TopicPartition(*tp) for tp in (many, first)])
        fetcher = consumer._fetcher
        await soon(lambda: len(fetcher._records) == 2)
        fetched = await thread._fetch_records(consumer, {many, first}, 5.0, MAX_POLL_RECORDS)
        assert list(fetched) == [first, many]
        assert [len(records) for records in fetched.values()] == taken
    finally:
        for client in (consumer, producer):
            if client is not None:
                await client.stop()
        broker.stop()


@pytest.mark.parametrize(("kind", "again"), [(ConsumerThread, 5), (upstream_thread, 0)])
async def test_a_partition_without_a_commit_is_sought_to_its_start(
    tmp_path: Any, kind: type, again: int
) -> None:
    broker = EmbeddedBroker(free_port(), log_file=tmp_path / "broker.log")
    broker.start()
    try:
        await prepare_topics([broker.address], find_plugins().topics, partitions=1, replication=1)
        producer = aiokafka.AIOKafkaProducer(bootstrap_servers=broker.address)
        await producer.start()
        for number in range(5):
            await producer.send_and_wait("customer-identified", orjson.dumps(number), partition=0)
        await producer.stop()
        app = app_for(tmp_path, f"kafka://{broker.address}")
        thread = thread_of(app, kind)
        consumer = thread._consumer = aiokafka.AIOKafkaConsumer(
            bootstrap_servers=broker.address,
            group_id="g",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
        )

        async def call_thread(function: Any, *args: Any) -> Any:
            return await function(*args)

        thread._ensure_consumer = lambda: consumer

        thread.call_thread = call_thread
        await consumer.start()
        tp = aiokafka.TopicPartition("customer-identified", 0)
        consumer.assign([tp])
        first = await consumer.getmany(tp, timeout_ms=5000)
        await thread.seek_to_committed()
        second = await consumer.getmany(tp, timeout_ms=1000)
        await consumer.stop()
        assert len(first[tp]) == 5
        assert len(second.get(tp, [])) == again
    finally:
        broker.stop()


async def test_watermarks_on_the_embedded_broker_count_every_record(tmp_path: Any) -> None:
    broker = EmbeddedBroker(free_port(), log_file=tmp_path / "broker.log")
    broker.start()
    try:
        settings = Settings(broker=f"kafka://{broker.address}")
        await prepare_topics(
            settings.bootstrap_servers, find_plugins().topics, partitions=1, replication=1
        )
        producer = aiokafka.AIOKafkaProducer(bootstrap_servers=broker.address, linger_ms=50)
        await producer.start()
        tp = aiokafka.TopicPartition("customer-identified", 0)
        await asyncio.gather(
            *[await producer.send(tp.topic, orjson.dumps(n), partition=0) for n in range(10)]
        )
        await producer.stop()
        app = app_for(tmp_path, settings.faust_broker)
        thread = thread_of(app)
        thread._consumer = aiokafka.AIOKafkaConsumer(bootstrap_servers=broker.address)
        await thread._consumer.start()
        told = await thread._consumer.end_offsets([tp])
        true = await thread._highwaters([TP(*tp)])
        await thread._consumer.stop()
        assert list(told.values()) == [1], "told: the base of the last batch + 1"
        assert list(true.values()) == [10]
    finally:
        broker.stop()


def test_a_crashed_process_ends_even_if_its_stop_hangs(tmp_path: Any) -> None:
    script = f"""
import time
from posstream.streaming import app
from pathlib import Path

app._LAST_WORDS_SECONDS = 0.1
crashing = app.StreamingApp(
    "crashing", broker="kafka://127.0.0.1:1", datadir=Path({str(tmp_path)!r}), partitions=1
)
crashing.tune(app.Tuning(drain_seconds=0))
crashing._crash(RuntimeError("broken"))
time.sleep(60)
"""
    assert subprocess.run([sys.executable, "-c", script], check=False, timeout=50).returncode == 1


async def test_a_last_commit_that_never_ends_does_not_hold_the_stop(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("posstream.streaming.patches.consumer._COMMIT_SECONDS", 0.05)
    consumer = await consumer_of(Consumer, app_for(tmp_path))
    never = asyncio.Event()

    async def commit(*_: object, **__: object) -> bool:
        return await never.wait()

    consumer.commit = commit
    async with asyncio.timeout(5):
        await consumer.wait_empty()
    never.set()


@pytest.mark.parametrize("partitions", [1, 8, 64, 1000])
def test_one_fetch_of_all_partitions_of_a_topic_fits_in_the_rest_of_its_buffer(
    partitions: int,
) -> None:
    most = max_poll_records(partitions) * partitions
    assert most <= BUFFER_MAXSIZE // 5 or max_poll_records(partitions) == 1


@pytest.mark.parametrize(("kind", "commits"), [(Consumer, 1), (upstream.Consumer, 0)])
async def test_the_last_commit_is_made_even_if_one_is_under_way(
    tmp_path: Any, kind: type, commits: int
) -> None:
    consumer = await consumer_of(kind, app_for(tmp_path))
    made = []

    async def force_commit(*_: object, **__: object) -> bool:
        made.append(True)
        return True

    consumer.force_commit = force_commit
    under_way = consumer._commit_fut = asyncio.get_running_loop().create_future()
    stopping = asyncio.ensure_future(consumer.wait_empty())
    for _ in range(10):  # it has come to the commit under way
        await asyncio.sleep(0)
    consumer._commit_fut = None  # as the commit does at its end
    under_way.set_result(None)
    await stopping
    assert len(made) == commits


@pytest.mark.parametrize(("kind", "asked"), [(Consumer, {SOURCE}), (upstream.Consumer, set())])
async def test_a_fetch_keeps_the_partitions_that_it_was_asked_for(
    tmp_path: Any, kind: type, asked: set[TP]
) -> None:
    """Paused meanwhile, upstream's set is empty, and aiokafka takes that for all partitions."""
    consumer = await consumer_of(kind, app_for(tmp_path))
    active, paused = {SOURCE}, asyncio.Event()
    waiting = []

    async def fetch(partitions: set[TP], _timeout: float) -> Any:
        await paused.wait()
        waiting.append(set(partitions))
        return {}

    consumer._thread.getmany = fetch
    fetching = asyncio.ensure_future(consumer._getmany(active_partitions=active, timeout=1))
    await asyncio.sleep(0)
    active.clear()
    paused.set()
    await fetching
    assert waiting == [asked]


# -- fetched lists


class Answerer:
    """Answers every record of its topic."""

    writes = ("answers",)

    def __init__(self) -> None:
        self.offsets: list[int] = []
        self.leaves = False
        self.events: list[Event] = []

    def answer(self, tp: TP, records: Sequence[Any], outbox: Outbox) -> Iterator[tuple[Any, None]]:
        self.offsets += [it.offset for it in records]
        for it in records:
            if self.leaves:
                yield it, None
            else:
                outbox.add(Record("answers", b"k", b"v", partition=tp.partition))

    async def kept(self) -> None:
        pass

    def begin(self, event: Event, _: None) -> None:
        self.events.append(event)


#: A partition whose records go on to an agent.
ROWS = TP("rows", 0)


class Fetching:
    """A consumer that has its partitions, and gets what a test puts in."""

    def __init__(self, app: StreamingApp, consumer: Any, patch: pytest.MonkeyPatch) -> None:
        self.app: Any = app
        self.consumer = consumer
        self._patch = patch
        self.answerer = Answerer()
        self.taken: list[int] = []
        app.answering[SOURCE.topic] = self.answerer
        app._consumer = consumer
        app.producer = FakeProducer()
        app.consumer_generation_id = 1
        consumer._progress.begin({SOURCE: 0, ROWS: 0})
        #: What each fetch was asked for, and what the next one brings.
        self.asked: list[set[TP]] = []
        self.waits: list[float] = []
        self.coming: dict[TP, list[Any]] = {}
        self.meanwhile: Callable[[], None] = lambda: None
        consumer._thread.getmany = self._getmany
        consumer._thread.seek_to_committed = self._seek
        consumer._sought_in = 1
        self.own(SOURCE, ROWS)

    def fill(self) -> None:
        """Let there be no room for another event."""
        self._patch.setattr(lanes, "WINDOW", 0)

    def empty(self) -> None:
        """Let there be room again."""
        self._patch.setattr(lanes, "WINDOW", 10_000)

    def own(self, *tps: TP) -> None:
        self.consumer.assignment = lambda: set(tps)
        self.consumer._set_active_tps(set(tps))

    async def _getmany(self, active: set[TP], timeout: float) -> Any:  # noqa: ASYNC109 - upstream's
        self.asked.append(set(active))
        self.waits.append(timeout)
        brought = {tp: records for tp, records in self.coming.items() if tp in active}
        self.coming = {tp: it for tp, it in self.coming.items() if tp not in active}
        self.meanwhile()
        return brought

    async def _seek(self) -> Any:
        return {SOURCE: 0, ROWS: 0}

    async def rebalance(self) -> None:
        """As Faust does it, without what becomes of tables and agents."""
        self.app.consumer_generation_id += 1
        self.consumer._on_partitions_assigned = nothing
        await self.consumer.on_partitions_assigned({SOURCE, ROWS}, 2)
        await self.consumer.perform_seek()

    async def fetch(self, **coming: list[int]) -> Any:
        """One turn of the fetch loop; what is left for Faust."""
        names = {"source": SOURCE, "rows": ROWS, "else_": TP("else", 0)}
        self.coming |= {names[it]: [Fetched(n) for n in ns] for it, ns in coming.items()}
        left, _ = await self.consumer._wait_next_records(timeout=1)
        await a_while()
        left = dict(left or {})
        self.taken += [it.offset for it in left.pop(ROWS, ())]
        return left


@pytest.fixture
async def fetching(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Fetching:
    app = app_for(tmp_path)
    return Fetching(app, await consumer_of(Consumer, app), monkeypatch)


async def test_what_was_fetched_goes_where_it_is_taken_in_lists_or_on_to_the_agents(
    fetching: Fetching,
) -> None:
    fetching.own(SOURCE, ROWS, TP("else", 0))
    left = await fetching.fetch(source=[0, 1], rows=[0], else_=[5])
    assert {tp: [it.offset for it in records] for tp, records in left.items()} == {
        TP("else", 0): [5]
    }
    assert (fetching.answerer.offsets, fetching.taken) == ([0, 1], [0])
    offsets = fetching.consumer._filter_committable_offsets([SOURCE, ROWS])
    assert offsets == {SOURCE: 2}, "and may be committed"


async def test_a_rebalance_between_a_fetch_and_its_taking_takes_nothing(
    fetching: Fetching,
) -> None:
    def rebalance() -> None:
        fetching.app.consumer_generation_id += 1

    fetching.meanwhile = rebalance
    await fetching.fetch(source=[0])
    assert fetching.answerer.offsets == []
    fetching.meanwhile = lambda: None
    await fetching.consumer.perform_seek()
    await fetching.fetch(source=[0])
    assert fetching.answerer.offsets == [0]


async def test_the_first_fetch_after_a_rebalance_is_taken_although_its_wait_began_before(
    fetching: Fetching,
) -> None:
    """The cause of a loss: 250 events piled up, were fetched so, and dropped."""
    fetching.consumer.stop_flow()
    fetch = asyncio.ensure_future(fetching.fetch(source=[0, 1], rows=[0]))
    await a_while()
    await fetching.rebalance()
    assert not fetch.done()
    fetching.consumer.resume_flow()
    await fetch
    assert (fetching.answerer.offsets, fetching.taken) == ([0, 1], [0])


async def test_what_is_fetched_while_the_flow_is_stopped_is_kept_until_it_goes_on(
    fetching: Fetching,
) -> None:
    fetching.meanwhile = fetching.consumer.stop_flow
    await fetching.fetch(source=[0], rows=[0])
    assert (fetching.answerer.offsets, fetching.taken) == ([], [0])
    fetching.meanwhile = lambda: None
    fetching.consumer.resume_flow()
    await fetching.fetch()
    assert fetching.answerer.offsets == [0]


async def test_what_was_kept_comes_again_after_a_seek_and_is_answered_once(
    fetching: Fetching,
) -> None:
    fetching.meanwhile = fetching.consumer.stop_flow
    await fetching.fetch(source=[0])
    fetching.meanwhile = lambda: None
    await fetching.consumer.perform_seek()
    fetching.consumer.resume_flow()
    await fetching.fetch(source=[0, 1])
    assert fetching.answerer.offsets == [0, 1]


async def test_a_new_assignment_forgets_what_is_parked(fetching: Fetching) -> None:
    fetching.fill()
    await fetching.fetch(source=[0, 1])
    fetching.empty()
    await fetching.rebalance()
    await fetching.fetch(source=[5])
    assert fetching.answerer.offsets == [5]


async def test_what_is_parked_is_not_fetched_and_the_others_are(fetching: Fetching) -> None:
    fetching.fill()
    await fetching.fetch(source=[0])
    await fetching.fetch(source=[1], rows=[0])
    assert fetching.asked == [{SOURCE, ROWS}, {ROWS}]
    assert fetching.taken == [0]


@pytest.mark.parametrize(("late_seconds", "fetched_next"), [(0, {ROWS}), (3600, {SOURCE, ROWS})])
async def test_a_crowd_that_waits_for_the_event_loop_grows_no_further(
    fetching: Fetching,
    monkeypatch: pytest.MonkeyPatch,
    late_seconds: float,
    fetched_next: set[TP],
) -> None:
    monkeypatch.setattr(lanes, "CROWD", 2)
    monkeypatch.setattr(lanes, "LATE_SECONDS", late_seconds)
    fetching.answerer.leaves = True
    await fetching.fetch(source=[0])
    await fetching.fetch(source=[1])
    await fetching.fetch()
    assert fetching.asked == [{SOURCE, ROWS}, {SOURCE, ROWS}, fetched_next]
    for event in fetching.answerer.events:
        event.finish()
    await fetching.fetch()
    assert fetching.asked[-1] == {SOURCE, ROWS}


async def test_if_everything_is_parked_nothing_is_asked_for(fetching: Fetching) -> None:
    """For aiokafka, an empty set means all partitions."""
    fetching.own(SOURCE)
    fetching.fill()
    await fetching.fetch(source=[0])
    await fetching.fetch(source=[1])
    assert fetching.asked == [{SOURCE}]


async def test_nothing_is_fetched_of_a_topic_that_is_switched_off(fetching: Fetching) -> None:
    is_on = False
    fetching.app.lanes.answer_while((SOURCE.topic,), lambda: is_on)
    await fetching.fetch(source=[0, 1], rows=[0])
    assert (fetching.asked, fetching.taken) == ([{ROWS}], [0])
    is_on = True
    await fetching.fetch()
    assert (fetching.asked[-1], fetching.answerer.offsets) == ({SOURCE, ROWS}, [0, 1])


async def test_a_consumer_that_fetches_nothing_stays_in_its_group(fetching: Fetching) -> None:
    consumer = aiokafka.AIOKafkaConsumer("source")
    fetching.consumer._thread._consumer = consumer
    consumer._subscription._last_fetch_ended -= 2_000
    assert consumer._subscription.fetcher_idle_time >= 2_000, "aiokafka would leave"
    fetching.own(SOURCE)
    fetching.app.lanes.answer_while((SOURCE.topic,), lambda: False)
    await fetching.fetch()
    idle_seconds = consumer._subscription.fetcher_idle_time
    await consumer.stop()
    assert (fetching.asked, idle_seconds < 1_000) == ([], True)


@pytest.mark.parametrize("owned", [(SOURCE,), (SOURCE, ROWS)])
async def test_what_is_parked_is_taken_when_there_is_room_although_nothing_else_comes(
    fetching: Fetching, owned: tuple[TP, ...]
) -> None:
    fetching.own(*owned)
    fetching.fill()
    await fetching.fetch(source=[0, 1])
    fetching.empty()
    await fetching.fetch()
    assert fetching.answerer.offsets == [0, 1]
    await fetching.fetch(source=[2])
    assert fetching.answerer.offsets == [0, 1, 2]


async def test_the_drain_waits_for_events_and_drops_what_is_parked(fetching: Fetching) -> None:
    committed: list[int] = []

    async def commit(*_: object, **__: object) -> bool:
        committed.append(fetching.consumer.finished_to(SOURCE))
        return True

    fetching.consumer.commit = commit
    fetching.answerer.leaves = True
    await fetching.fetch(source=[0, 1])
    fetching.fill()
    await fetching.fetch(source=[2])
    waiting = asyncio.ensure_future(fetching.consumer.wait_empty())
    await a_while()
    assert not waiting.done()
    for event in fetching.answerer.events:
        event.finish()
    async with asyncio.timeout(10):
        await waiting
    assert committed == [2], "the last commit comes after the last answer"
    fetching.empty()
    await fetching.fetch(rows=[0])
    assert fetching.answerer.offsets == [0, 1]


async def test_the_drain_waits_for_the_confirmation_of_answers(fetching: Fetching) -> None:
    async def commit(*_: object, **__: object) -> bool:
        return True

    fetching.consumer.commit = commit
    fetching.app.producer.confirms = False
    await fetching.fetch(source=[0])
    waiting = asyncio.ensure_future(fetching.consumer.wait_empty())
    await a_while()
    assert not waiting.done()
    fetching.app.producer.written[0].set_result(None)
    async with asyncio.timeout(10):
        await waiting
    assert fetching.consumer.finished_to(SOURCE) == 1


async def test_what_is_fetched_while_the_worker_stops_is_not_taken(
    fetching: Fetching, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Consumer, "should_stop", True)
    await fetching.fetch(source=[0])
    assert fetching.answerer.offsets == []


class At:
    """An aiokafka consumer that has come so far."""

    def __init__(self, positions: dict[TP, int]) -> None:
        states = {
            tp: SimpleNamespace(has_valid_position=True, position=at)
            for tp, at in positions.items()
        }
        assignment = SimpleNamespace(state_value=states.get)
        subscription = SimpleNamespace(assignment=assignment)
        self._subscription = SimpleNamespace(subscription=subscription)
        self._fetcher = SimpleNamespace(_fetch_max_wait_ms=0)


async def test_what_no_record_follows_is_a_hole_too(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The marker of a transaction at the end of the log: the commit would stay before it."""
    thread = thread_of(app_for(tmp_path))
    thread._fetched_to |= {SOURCE: 3, ROWS: 7}

    async def fetch(*_: object, **__: object) -> Any:
        return {SOURCE: [record(3)]}

    monkeypatch.setattr(upstream_thread, "_fetch_records", fetch)
    await thread._fetch_records(At({SOURCE: 5, ROWS: 7}), {SOURCE})
    assert list(thread.holes) == [(SOURCE, 4, 5)]
    assert thread._fetched_to == {SOURCE: 5, ROWS: 7}


class Fetches(At):
    """What a thread fetches of aiokafka: each partition has records, if it is said so."""

    def __init__(self, app: StreamingApp, *coming: TP) -> None:
        super().__init__({})
        self.coming = set(coming)
        #: The partitions of each fetch, how long it may wait and how many records it may bring.
        self.asked: list[tuple[set[TP], float, int | None]] = []
        self.meanwhile: Callable[[set[TP]], None] = lambda _: None
        app.answering[SOURCE.topic] = Answerer()
        self.thread = thread_of(app)

    async def fetch(self, _: Any, __: Any, active: set[TP], wait: float, most: int) -> Any:
        self.asked.append((set(active), wait, most))
        self.meanwhile(active)
        return {tp: [record(0)] for tp in active & self.coming}

    async def fetched(self, monkeypatch: pytest.MonkeyPatch, *active: TP) -> set[TP]:
        async def fetch(*args: Any) -> Any:
            return await self.fetch(*args)

        monkeypatch.setattr(upstream_thread, "_fetch_records", fetch)
        found = await self.thread._fetch_records(self, set(active), timeout=7, max_records=3)
        return set(found)


ELSE = TP("else", 0)


async def test_tills_come_first_and_nothing_waits_for_others_meanwhile(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetches = Fetches(app_for(tmp_path), SOURCE, ROWS, ELSE)
    assert await fetches.fetched(monkeypatch, SOURCE, ROWS, ELSE) == {SOURCE, ROWS, ELSE}
    assert fetches.asked == [({SOURCE}, 0, 1000), ({ELSE, ROWS}, 0, 3)]


async def test_without_any_till_a_fetch_waits_for_whatever_comes(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetches = Fetches(app_for(tmp_path), ELSE)
    assert await fetches.fetched(monkeypatch, SOURCE, ELSE) == {ELSE}
    assert fetches.asked == [({SOURCE}, 0, 1000), ({SOURCE, ELSE}, 7, 3)]


async def test_no_fetch_asks_for_no_partition_which_aiokafka_takes_for_all(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetches = Fetches(app_for(tmp_path), SOURCE)
    assert await fetches.fetched(monkeypatch, SOURCE) == {SOURCE}
    assert fetches.asked == [({SOURCE}, 0, 1000)]


async def test_records_are_dropped_if_a_seek_came_while_others_were_fetched(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A later fetch waits for a rebalance; what the first one brought comes again after it."""
    fetches = Fetches(app_for(tmp_path), SOURCE, ELSE, ROWS)

    def seek(active: set[TP]) -> None:
        fetches.thread.seeks += ELSE in active

    fetches.meanwhile = seek
    assert await fetches.fetched(monkeypatch, SOURCE, ELSE, ROWS) == {ELSE, ROWS}


async def test_resuming_the_flow_keeps_an_event_that_came_while_it_was_resumed(
    tmp_path: Any,
) -> None:
    buffer = (app := app_for(tmp_path)).FlowControlQueue(maxsize=10, clear_on_resume=True)
    app.flow_control.resume()
    buffer.put_nowait("the event at the committed offset")
    app.flow_control.resume()
    assert buffer.qsize() == 1
    app.flow_control.clear()
    assert buffer.qsize() == 0
