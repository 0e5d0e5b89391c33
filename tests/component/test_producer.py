"""What a broker that is away or frozen may hold up. Each test fails on upstream's classes."""

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import AsyncIterator, Awaitable
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.client import ConnectionGroup
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaTimeoutError,
    RequestTimedOutError,
    TopicAuthorizationFailedError,
    UnknownError,
)
from aiokafka.protocol.group import HeartbeatRequest
from faust.transport.drivers import aiokafka as upstream

from posstream.domain.errors import PublishFailed
from posstream.kafka.partitioner import partition_of
from posstream.kafka.record import Record
from posstream.kafka.tuning import EMBEDDED_TUNING, Tuning
from posstream.streaming import publisher
from posstream.streaming.app import StreamingApp
from posstream.streaming.patches import client, consumer_thread, producer
from posstream.streaming.patches.client import Client
from posstream.streaming.patches.consumer_thread import ConsumerThread
from posstream.streaming.patches.joined_batch import JoinedBatch
from posstream.streaming.publisher import FaustPublisher
from tests.component.list_fakes import records_of

RECORD = Record("t", b"k", b"v", headers=())
SOURCE = TopicPartition("t", 0)


def app_for(tmp_path: Any, tuning: Tuning) -> StreamingApp:
    app = StreamingApp("test", broker="kafka://127.0.0.1:1", datadir=tmp_path, partitions=1)
    app.tune(tuning)
    return app


@contextlib.asynccontextmanager
async def made_by(app: StreamingApp) -> AsyncIterator[Any]:
    """The aiokafka producer that the worker would start."""
    made = app.producer._new_producer()
    yield made
    await made.stop()


@contextlib.asynccontextmanager
async def putting(app: StreamingApp) -> AsyncIterator[Any]:
    """Let an app's producer know of a topic `t`; yields the batches by partition."""
    async with made_by(app) as made:
        app.producer._producer = made
        made.client.cluster._partitions["t"] = {0: None, 1: None, 2: None}
        batches = made._message_accumulator._batches
        yield batches
        batches.clear()


async def the_acknowledgement(of: Awaitable[None]) -> None:
    await of


def publisher_by(send: Any, tuning: Tuning) -> FaustPublisher:
    pulse = SimpleNamespace(check=lambda: None)
    by_itself = SimpleNamespace(send=send, put=lambda *_: None)
    app = SimpleNamespace(producer=by_itself, tuning=tuning, pulse=pulse)
    return FaustPublisher(app)


async def test_a_record_waits_longer_than_one_request(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with made_by(app_for(tmp_path, Tuning())) as made:
        await made._message_accumulator.add_message(SOURCE, b"k", b"v", 1)
        (batch,) = made._message_accumulator._batches[SOURCE]
        now = time.monotonic()
        with monkeypatch.context() as later:
            later.setattr(time, "monotonic", lambda: now + 3600)
            assert not batch.expired()


@pytest.mark.parametrize(("tuning", "idempotent"), [(Tuning(), True), (EMBEDDED_TUNING, False)])
async def test_kafka_writes_once_what_is_sent_twice(
    tmp_path: Any, tuning: Tuning, *, idempotent: bool
) -> None:
    async with made_by(app_for(tmp_path, tuning)) as made:
        assert (made._txn_manager is not None) is idempotent


async def test_neither_a_flush_nor_a_stop_waits_for_brokers(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never() -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(producer, "_FLUSH_SECONDS", 0.01)
    made = app_for(tmp_path, Tuning()).producer
    made._producer = SimpleNamespace(flush=never, stop=never)
    async with asyncio.timeout(5):
        await made.flush()
        await made.on_stop()


async def test_the_consumer_ends_without_its_coordinator(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def search() -> None:
        await asyncio.Event().wait()

    async def let_through() -> None:
        raise asyncio.CancelledError

    monkeypatch.setattr(consumer_thread, "_LEAVE_SECONDS", 0.01)
    app = app_for(tmp_path, Tuning())
    owner = SimpleNamespace(transport=app.transport, app=app, RebalanceListener=lambda _: None)
    thread = ConsumerThread(owner)
    thread.thread_loop.close()
    for stop in (search, let_through):
        thread._consumer = SimpleNamespace(stop=stop, _coordinator=SimpleNamespace(generation=-1))
        async with asyncio.timeout(5):
            await thread.on_thread_stop()


async def test_an_acknowledgement_that_never_comes() -> None:
    async def send(*_: Any) -> Any:
        return asyncio.get_running_loop().create_future()

    tuning = dataclasses.replace(Tuning(), delivery_seconds=0.01)
    acknowledged = await publisher_by(send, tuning).send(RECORD)
    with pytest.raises(PublishFailed):
        await asyncio.wait_for(acknowledged, 5)


async def test_a_caller_who_waits_is_told_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    async def send(*_: Any) -> Any:
        await asyncio.Event().wait()

    monkeypatch.setattr(publisher, "_PUBLISH_SECONDS", 0.01)
    with pytest.raises(PublishFailed):
        await asyncio.wait_for(publisher_by(send, Tuning()).publish(RECORD), 5)


async def test_a_broker_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "REQUEST_SECONDS", 0.05)
    writers: list[asyncio.StreamWriter] = []
    silent = await asyncio.start_server(lambda _, writer: writers.append(writer), "127.0.0.1", 0)
    async with silent:
        port = silent.sockets[0].getsockname()[1]
        made = Client(bootstrap_servers=f"127.0.0.1:{port}", request_timeout_ms=90_000)
        async with asyncio.timeout(5):
            with pytest.raises(KafkaConnectionError):
                await made.bootstrap()
        await made.close()
        for writer in writers:
            writer.close()
            await writer.wait_closed()


class Frozen:
    """A connection that takes requests and gives no responses."""

    _request_timeout = 10.0
    closed = False

    def connected(self) -> bool:
        return True

    def send(self, _: Any, *, expect_response: bool) -> Any:
        assert expect_response
        return asyncio.wait_for(asyncio.Event().wait(), self._request_timeout)

    def close(self, reason: Any = None) -> None:
        assert reason
        self.closed = True


async def test_a_heartbeat_is_given_up_and_a_join_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "REQUEST_SECONDS", 0.05)
    made = Client(request_timeout_ms=90_000)
    made._conns[(1, ConnectionGroup.COORDINATION)] = frozen = Frozen()
    async with asyncio.timeout(5):
        with pytest.raises(RequestTimedOutError):
            await made.send(1, HeartbeatRequest("g", 1, "m"), group=ConnectionGroup.COORDINATION)
    assert frozen.closed
    assert frozen._request_timeout == 90


def crash_of(app: StreamingApp, monkeypatch: pytest.MonkeyPatch) -> asyncio.Future[BaseException]:
    """What the app will crash for."""
    crashed = asyncio.get_running_loop().create_future()

    async def crash(why: BaseException) -> None:
        crashed.set_result(why)

    monkeypatch.setattr(app, "crash", crash)
    return crashed


async def ends_the_worker(
    refused: asyncio.Future[None], sent: Any, crashed: asyncio.Future[BaseException]
) -> None:
    """A refusal of what was sent is told to both."""
    why = TopicAuthorizationFailedError()
    refused.set_exception(why)
    assert await crashed is why
    with pytest.raises(TopicAuthorizationFailedError):
        await sent


async def test_a_batch_that_is_refused_for_good_ends_the_worker(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = app_for(tmp_path, Tuning())
    crashed = crash_of(app, monkeypatch)
    refused: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def send(*_: object, **__: object) -> Any:
        return refused

    monkeypatch.setattr(upstream.Producer, "send", send)
    sent = await app.producer.send("t", None, b"", None, None, [])
    await ends_the_worker(refused, sent, crashed)


async def test_a_batch_of_our_own_that_is_refused_for_good_ends_the_worker(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = app_for(tmp_path, Tuning())
    crashed = crash_of(app, monkeypatch)
    refused: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    asked: list[tuple[Any, str, int]] = []

    async def send_batch(batch: Any, topic: str, *, partition: int) -> Any:
        asked.append((batch, topic, partition))
        return refused

    async def stop() -> None: ...

    app.producer._producer = SimpleNamespace(send_batch=send_batch, stop=stop)
    sent = await app.producer.send_batch("t", 3, "the batch")
    assert asked == [("the batch", "t", 3)]
    await ends_the_worker(refused, sent, crashed)


class Slow:
    """aiokafka's producer, that takes a batch when it may; it notes what it took."""

    def __init__(self, *refusals: Exception) -> None:
        self.may = asyncio.Event()
        self.taken: list[Any] = []
        self._refusals = list(refusals)

    async def partitions_for(self, _: str) -> set[int]:
        return {0}

    async def send_batch(self, batch: Any, _: str, *, partition: int) -> Any:
        if self._refusals:
            raise self._refusals.pop(0)
        await self.may.wait()
        return self._take((batch, partition))

    async def send(self, _: str, value: bytes, *, partition: int, **__: object) -> Any:
        return self._take((value, partition))

    async def stop(self) -> None: ...

    def _take(self, what: Any) -> Any:
        self.taken.append(what)
        return asyncio.get_running_loop().create_future()


async def test_a_record_waits_behind_the_batches_of_its_partition(tmp_path: Any) -> None:
    app = app_for(tmp_path, Tuning())
    app.producer._producer = slow = Slow()
    first = [asyncio.ensure_future(app.producer.send_batch("t", 0, n)) for n in range(2)]
    await asyncio.sleep(0)
    record = asyncio.ensure_future(app.producer.send("t", b"k", b"v", None, None, None))
    await app.producer.send("t", b"k", b"other", 1, None, None)
    slow.may.set()
    await asyncio.gather(*first, record)
    assert slow.taken == [(b"other", 1), (0, 0), (1, 0), (b"v", 0)]


async def test_a_record_that_is_put_passes_nobody_who_waits(tmp_path: Any) -> None:
    app = app_for(tmp_path, Tuning())
    async with putting(app) as batches:
        take = asyncio.Event()

        async def send_batch(*_: object, **__: object) -> Any:
            await take.wait()
            return asyncio.get_running_loop().create_future()

        app.producer._producer.send_batch = send_batch
        leaving = asyncio.ensure_future(app.producer.send_batch("t", 0, "the batch"))
        await asyncio.sleep(0)
        assert app.producer.put("t", b"k", b"v", 0, []) is None
        assert app.producer.put("t", b"k", b"v", 1, []) is not None
        take.set()
        await leaving
        assert app.producer.put("t", b"k", b"v", 0, []) is not None
        assert sorted(partition for _, partition in batches) == [0, 1]


async def test_records_that_are_put_share_the_batch_of_their_partition(tmp_path: Any) -> None:
    app = app_for(tmp_path, Tuning())
    async with putting(app) as batches:
        (first, at), (second, behind) = (
            app.producer.put("t", b"k", value, 2, [("h", b"x")]) for value in (b"1", b"2")
        )
        assert first is second
        assert (at, behind) == (0, 1)
        ((batch,),) = batches.values()
        assert records_of("t", 2, batch._builder) == [
            Record("t", b"k", value, [("h", b"x")], 2) for value in (b"1", b"2")
        ]
        batch.done(41)
        assert await first == 41


async def test_a_record_that_is_put_goes_where_its_key_belongs(tmp_path: Any) -> None:
    app = app_for(tmp_path, Tuning())
    async with putting(app) as batches:
        for number in range(20):
            assert app.producer.put("t", b"%d" % number, b"", None, []) is not None
        for tp, (batch,) in batches.items():
            keys = {record.key for record in records_of("t", tp.partition, batch._builder)}
            assert keys == {
                key for key in (b"%d" % n for n in range(20)) if partition_of(key, 3) == tp[1]
            }


async def test_a_record_goes_behind_a_joined_batch_that_waits(tmp_path: Any) -> None:
    """Answers of hits wait as joined batches when a miss is answered in the same partition."""
    app = app_for(tmp_path, Tuning())
    async with putting(app) as batches:
        joined = JoinedBatch(1000, 0)
        assert joined.put_whole(b"k", b"hit", [])
        await app.producer.send_batch("t", 0, joined)
        assert app.producer.put("t", b"k", b"put", 0, []) is not None
        ((first, second),) = batches.values()
        assert (first._builder, first.record_count) == (joined, 1)
        assert first.append(b"k", b"sent", 0) is None, "upstream's `send` waits behind it"
        assert [it.value for it in records_of("t", 0, second._builder)] == [b"put"]


async def test_a_full_batch_is_followed_by_another(tmp_path: Any) -> None:
    app = app_for(tmp_path, Tuning())
    async with putting(app) as batches:
        put = [app.producer.put("t", b"k", b"x" * 60_000, 0, []) for _ in range(6)]
        (waiting,) = batches.values()
        assert [place for _, place in put] == [0, 1, 2, 3, 0, 1]
        assert len(waiting) == 2
        waiting[0].done(7)
        assert await put[0][0] == 7
        assert not put[5][0].done()


@pytest.mark.parametrize(
    ("topic", "key", "value", "partition"),
    [
        ("unknown", b"k", b"", None),
        ("t", None, b"", None),
        ("t", b"k", b"", 3),
        ("t", b"k", b"x" * 65_537, None),
    ],
)
async def test_what_cannot_be_put_is_left_to_the_way_that_waits(
    tmp_path: Any, topic: str, key: bytes | None, value: bytes, partition: int | None
) -> None:
    app = app_for(tmp_path, Tuning())
    assert app.producer.put("t", b"k", b"", None, []) is None, "there is no producer yet"
    async with putting(app) as batches:
        assert app.producer.put(topic, key, value, partition, []) is None
        assert not batches


async def test_a_record_that_was_put_and_is_refused_ends_the_worker(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = app_for(tmp_path, Tuning())
    crashed = crash_of(app, monkeypatch)
    async with putting(app) as batches:
        sent = await FaustPublisher(app).send(RECORD)
        ((batch,),) = batches.values()
        batch.failure(TopicAuthorizationFailedError())
        assert isinstance(await crashed, TopicAuthorizationFailedError)
        with pytest.raises(PublishFailed):
            await sent


async def test_a_record_that_was_put_is_not_waited_for_for_ever(tmp_path: Any) -> None:
    app = app_for(tmp_path, Tuning(delivery_seconds=0.01))
    async with putting(app):
        sent = await FaustPublisher(app).send(RECORD)
        with pytest.raises(PublishFailed):
            await asyncio.wait_for(sent, 5)
        put = RECORD.topic, RECORD.key, RECORD.value, RECORD.partition, [*RECORD.headers]
        assert app.producer.put(*put) is None, "the next record has its own time, by `send`"


async def test_whoever_waits_no_more_for_a_batch_leaves_the_others_waiting(tmp_path: Any) -> None:
    app = app_for(tmp_path, Tuning())
    async with putting(app) as batches:
        leaves, stays = [
            asyncio.ensure_future(the_acknowledgement(await FaustPublisher(app).send(RECORD)))
            for _ in range(2)
        ]
        await asyncio.sleep(0)
        leaves.cancel()
        await asyncio.wait([leaves])
        ((batch,),) = batches.values()
        batch.done(0)
        await stays


async def test_a_batch_has_all_of_its_time(tmp_path: Any) -> None:
    """aiokafka gives up too early: it counts each of its waits once more in the next one."""
    app = app_for(tmp_path, Tuning(delivery_seconds=0.2))
    app.producer._producer = slow = Slow(KafkaTimeoutError())
    slow.may.set()
    await app.producer.send_batch("t", 0, "the batch")
    assert slow.taken == [("the batch", 0)]

    async def refuse(*_: object, **__: object) -> Any:
        await asyncio.sleep(0.05)
        raise KafkaTimeoutError

    slow.send_batch = refuse  # type: ignore[method-assign]
    with pytest.raises(KafkaTimeoutError):
        await app.producer.send_batch("t", 0, "the batch")


async def test_a_batch_that_nobody_waits_for_any_more_crashes_nothing(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = app_for(tmp_path, Tuning())
    crashed: list[BaseException] = []

    async def crash(why: BaseException) -> None:
        crashed.append(why)

    monkeypatch.setattr(app, "crash", crash)
    written: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def send_batch(*_: object, **__: object) -> Any:
        return written

    app.producer._producer = SimpleNamespace(send_batch=send_batch)
    errors: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, error: errors.append(error))
    await app.producer.send_batch("t", 0, "the batch")
    written.cancel()
    await asyncio.sleep(0)
    assert (crashed, errors) == ([], [])


async def test_a_batch_of_our_own_has_the_size_of_any_other(tmp_path: Any) -> None:
    app = app_for(tmp_path, Tuning())
    async with made_by(app) as made:
        app.producer._producer = made
        ours, theirs = app.producer.new_batch(), made._message_accumulator.create_builder()
        for batch in (ours, theirs):
            while batch.append(timestamp=1, key=b"k", value=b"x" * 1000):
                pass
        assert ours.record_count() == theirs.record_count() > 100


async def test_a_topic_has_as_many_partitions_as_the_broker_says(tmp_path: Any) -> None:
    async def partitions_for(topic: str) -> set[int]:
        return {"t": {0, 1, 2}}[topic]

    app = app_for(tmp_path, Tuning())
    app.producer._producer = SimpleNamespace(partitions_for=partitions_for)
    assert await app.producer.partitions_of("t") == 3


async def test_a_topic_that_the_broker_told_of_is_not_declared_again(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared: list[str] = []

    async def declare(_: object, topic: str, *__: object) -> None:
        declared.append(topic)

    monkeypatch.setattr(upstream.Producer, "create_topic", declare)
    app = app_for(tmp_path, Tuning())
    async with putting(app):
        for name in ("t", "u"):
            await app.producer.create_topic(name, 1, 1)
    assert declared == ["u"]


async def test_a_partition_without_a_leader_is_asked_for_ten_times_a_second(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(producer, "_METADATA_PAUSE_SECONDS", 0.02)
    async with made_by(app_for(tmp_path, Tuning())) as made:
        asked = asyncio.ensure_future(made.client.force_metadata_update())
        await asyncio.sleep(0)
        assert made.client._md_update_fut is None, "not at once"
        await asyncio.sleep(0.1)
        made.client._md_update_fut.set_result(True)
        assert await asked


async def test_an_error_of_the_group_that_aiokafka_keeps_to_itself_ends_the_worker(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer_thread, "_GROUP_WATCH_SECONDS", 0.01)
    app = app_for(tmp_path, Tuning())
    crashed = asyncio.get_running_loop().create_future()

    async def crash(why: BaseException) -> None:
        crashed.set_result(why)

    monkeypatch.setattr(app, "crash", crash)
    fenced = UnknownError()

    def check_errors() -> None:
        raise fenced

    loop = asyncio.get_running_loop()
    thread: Any = ConsumerThread(app.consumer, loop=loop, thread_loop=loop)
    thread._consumer = SimpleNamespace(_coordinator=SimpleNamespace(check_errors=check_errors))
    await thread._watch_group()
    assert await crashed is fenced
    app.consumer._thread.thread_loop.close()
