"""The overrides of Faust's driver. Each test fails on the driver as it comes from upstream."""

import asyncio
import subprocess
import sys
import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import aiokafka
import orjson
import pytest
from faust.exceptions import ConsistencyError
from faust.transport.drivers import aiokafka as upstream
from faust.types import TP

from posstream.domain.errors import StartRefused
from posstream.embedded_broker import EmbeddedBroker
from posstream.settings import Settings
from posstream.streaming.app import (
    BUFFER_MAXSIZE,
    EMBEDDED_TUNING,
    StreamingApp,
    Tuning,
    max_poll_records,
)
from posstream.streaming.driver import Consumer, ConsumerThread
from posstream.streaming.preflight import prepare_topics
from posstream.topics import PROJECTED, TOPICS
from tests.integration.harness import free_port

SOURCE = TP("t", 0)


def app_for(tmp_path: Any, broker: str = "kafka://127.0.0.1:1") -> StreamingApp:
    app = StreamingApp("test", broker=broker, datadir=tmp_path, partitions=1)
    app.tune(EMBEDDED_TUNING)
    return app


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

    async def assigned(*_: object, **__: object) -> None: ...

    consumer._on_partitions_assigned = assigned
    await consumer.on_partitions_assigned({SOURCE}, 2)
    consumer.ack(Held(7))
    assert commit_of(consumer) is None


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
async def test_nobody_waits_for_events_that_wait_for_the_database(
    tmp_path: Any, kind: type, *, in_time: bool
) -> None:
    app = app_for(tmp_path)
    app.tune(replace(EMBEDDED_TUNING, drain_seconds=60))
    consumer = await consumer_of(kind, app)
    held = Held(0)
    held.topic = PROJECTED[0]
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
    assert waits == 20
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
        await prepare_topics([broker.address], TOPICS, partitions=2, replication=1)
        with pytest.raises(StartRefused) as refused:
            await prepare_topics([broker.address], TOPICS, partitions=3, replication=1)
        assert "topic customer-identified has 2 partitions" in str(refused.value)
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
        await thread._fetch_records(None)
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
        await thread._fetch_records(None)


class Group:
    """aiokafka's consumer of a group whose commit may lie anywhere."""

    def __init__(self, committed: int | None) -> None:
        self.sought: dict[TP, int] = {}
        self._committed = committed

    def assignment(self) -> set[TP]:
        return {SOURCE}

    async def committed(self, _: TP) -> int | None:
        return self._committed

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
        await thread._fetch_records(None)
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


async def test_a_paused_partition_is_fetched_again_only_while_it_is_ours(tmp_path: Any) -> None:
    consumer = await consumer_of(Consumer, app_for(tmp_path))
    ours = {SOURCE}
    consumer.assignment = lambda: ours
    consumer._set_active_tps(ours)
    as_a_message_has_it = aiokafka.TopicPartition(*SOURCE)
    consumer.pause(as_a_message_has_it)
    assert SOURCE not in consumer._get_active_partitions()
    consumer.resume(as_a_message_has_it)
    assert SOURCE in consumer._get_active_partitions()
    consumer.pause(SOURCE)
    ours.clear()
    consumer.resume(SOURCE)
    assert SOURCE not in consumer._get_active_partitions()


@pytest.mark.parametrize(("kind", "again"), [(ConsumerThread, 5), (upstream_thread, 0)])
async def test_a_partition_without_a_commit_is_sought_to_its_start(
    tmp_path: Any, kind: type, again: int
) -> None:
    broker = EmbeddedBroker(free_port(), log_file=tmp_path / "broker.log")
    broker.start()
    try:
        await prepare_topics([broker.address], TOPICS, partitions=1, replication=1)
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
        await prepare_topics(settings.bootstrap_servers, TOPICS, partitions=1, replication=1)
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
    monkeypatch.setattr("posstream.streaming.driver._COMMIT_SECONDS", 0.05)
    consumer = await consumer_of(Consumer, app_for(tmp_path))
    never = asyncio.Event()

    async def commit(*_: object, **__: object) -> bool:
        return await never.wait()

    consumer.commit = commit
    async with asyncio.timeout(5):
        await consumer.wait_empty()
    never.set()


@pytest.mark.parametrize("partitions", [1, 8, 64, 1000])
def test_one_fetch_of_all_topics_of_an_agent_fits_in_the_rest_of_its_buffer(
    partitions: int,
) -> None:
    most = max_poll_records(partitions) * partitions * len(PROJECTED)
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
