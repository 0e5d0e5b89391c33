"""A projection's consumer, on a broker: nothing lost, nothing skipped, and a place of its own."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import repeat
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import aiokafka
import orjson
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from posstream.kafka.embedded_broker import EmbeddedBroker, free_port
from posstream.kafka.tuning import Tuning
from posstream.read_model import projector
from posstream.read_model.projection import ProjectedEvent, Projection
from posstream.read_model.projections import GroupedProjection
from posstream.read_model.projector import GroupSettings, Projector, Standing
from posstream.resilience.tasks import stop_task

TOPIC, FORMER, GROUP = "sold", "group-of-before", "group-of-its-own"
#: For what must happen, and soon; a join on the embedded broker alone takes 1.5 s.
PATIENCE_SECONDS = 40


class Kept(Projection):
    """Keeps the numbers of events; can be down, or stand still."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.is_up = asyncio.Event()
        self.is_up.set()
        self.tries = 0
        self.raises: Exception | None = None

    async def apply(self, events: Sequence[ProjectedEvent]) -> None:
        self.tries += 1
        if self.raises is not None:
            raise self.raises
        await self.is_up.wait()
        self.numbers += [event.value["number"] for event in events]


class Shop:
    """A broker with a topic of two partitions, and projectors."""

    def __init__(self, servers: str, producer: aiokafka.AIOKafkaProducer) -> None:
        self.servers = servers
        self.producer = producer

    async def sell(self, *numbers: int, topic: str = TOPIC) -> None:
        for number in numbers:
            value = orjson.dumps({"number": number})
            await self.producer.send_and_wait(topic, value, partition=number % 2)

    @asynccontextmanager
    async def projecting(
        self,
        kept: Kept,
        standing: Standing | None = None,
        *,
        name: str = "toy",
        topics: tuple[str, ...] = (TOPIC,),
        former_group: str | None = None,
    ) -> AsyncIterator[None]:
        grouped = GroupedProjection(
            name=name,
            group=f"{GROUP}-{name}",
            topics=topics,
            make=lambda _: kept,
            former_group=former_group,
        )
        settings = GroupSettings(
            servers=[self.servers],
            member=None,
            tuning=Tuning(fetch_wait_ms=20, session_timeout_seconds=3),
        )
        projector = Projector(grouped, kept, settings, standing or Standing())
        task = asyncio.create_task(projector.run())
        try:
            yield
        finally:
            await stop_task(task)

    async def committed(self, group: str) -> int:
        """The sum of the offsets that a group has committed."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.servers)
        await admin.start()
        tps = [TopicPartition(TOPIC, number) for number in range(2)]
        found = await admin.list_consumer_group_offsets(group, partitions=tps)
        await admin.close()
        return sum(max(0, it.offset) for it in found.values())

    async def commits(self, group: str, offsets: dict[TopicPartition, int]) -> None:
        """Do what a consumer of before did."""
        consumer = aiokafka.AIOKafkaConsumer(
            bootstrap_servers=self.servers,
            group_id=group,
            # Or it commits where it reads from when it stops: at the end of the topic.
            enable_auto_commit=False,
        )
        await consumer.start()
        consumer.assign(list(offsets))
        await consumer.commit(offsets)
        await consumer.stop()


async def until(done: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not done():  # noqa: ASYNC110 - it waits for anything
            await asyncio.sleep(0.02)


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    broker = EmbeddedBroker(free_port(), log_file=tmp_path / "broker.log")
    broker.start()
    try:
        admin = AIOKafkaAdminClient(bootstrap_servers=broker.address)
        await admin.start()
        await admin.create_topics([NewTopic(TOPIC, num_partitions=2, replication_factor=1)])
        await admin.close()
        async with aiokafka.AIOKafkaProducer(bootstrap_servers=broker.address) as producer:
            yield Shop(broker.address, producer)
    finally:
        broker.stop()


async def test_what_was_written_is_committed_and_not_read_again(shop: Shop) -> None:
    first, second = Kept(), Kept()
    await shop.sell(*range(1200))
    async with shop.projecting(first):
        await until(lambda: len(first.numbers) == 1200)
        while await shop.committed(f"{GROUP}-toy") < 1200:  # noqa: ASYNC110 - the broker tells
            await asyncio.sleep(0.02)
    await shop.sell(1200, 1201)
    async with shop.projecting(second):
        await until(lambda: len(second.numbers) == 2)
    assert sorted(first.numbers) == list(range(1200))
    assert sorted(second.numbers) == [1200, 1201]


async def test_what_was_fetched_and_not_written_comes_again(shop: Shop) -> None:
    """As after a kill -9: the offsets are those of what is written."""
    first, second = Kept(), Kept()
    first.is_up.clear()
    await shop.sell(*range(10))
    async with shop.projecting(first):
        await until(lambda: first.tries)
    async with shop.projecting(second):
        await until(lambda: len(second.numbers) == 10)
    assert first.numbers == []
    assert sorted(second.numbers) == list(range(10))


async def test_a_database_that_is_away_is_waited_for_and_the_lag_is_told(shop: Shop) -> None:
    kept, standing = Kept(), Standing()
    kept.raises = ConnectionRefusedError("down")
    await shop.sell(*range(10))
    async with shop.projecting(kept, standing):
        await until(lambda: kept.tries >= 3)
        assert (standing.trouble, standing.lag, standing.written) == ("down", 10, 0)
        assert await shop.committed(f"{GROUP}-toy") == 0
        kept.raises = None
        await until(lambda: len(kept.numbers) == 10)
        await until(lambda: standing.lag == 0)
        assert (standing.trouble, standing.written) == (None, 10)


async def test_fetches_wait_shortly_while_events_are_left_to_write() -> None:
    """Else a fetch for partitions without events keeps those with events waiting."""
    grouped = GroupedProjection(name="toy", group="toy", topics=(TOPIC,), make=lambda _: Kept())
    settings = GroupSettings(servers=[], member=None, tuning=Tuning(fetch_wait_ms=400))
    one = Projector(grouped, Kept(), settings, Standing(lag=1))

    async def nothing(**_: Any) -> dict[TopicPartition, Any]:
        return {}

    fetcher: Any = SimpleNamespace()
    one.consumer = SimpleNamespace(getmany=nothing, assignment=tuple, _fetcher=fetcher)
    waits = []
    for _ in range(2):  # no partition has events: the first step counts none left
        await one._step()
        waits.append(fetcher._fetch_max_wait_ms)
    assert waits == [projector._BEHIND_WAIT_MS, 400]


class Backlog:
    """A consumer whose fetches bring 300 events of one of two partitions."""

    def __init__(self) -> None:
        self.tps = [TopicPartition(TOPIC, number) for number in range(2)]
        self.fetches = 0
        self.commits: list[dict[TopicPartition, int]] = []
        self._fetcher = SimpleNamespace()

    async def getmany(self, **_: Any) -> dict[TopicPartition, Any]:
        await asyncio.sleep(0)
        tp, offset = self.tps[self.fetches % 2], self.fetches // 2 * 300
        self.fetches += 1
        value = orjson.dumps({"number": self.fetches})
        return {
            tp: [
                SimpleNamespace(
                    topic=TOPIC,
                    partition=tp.partition,
                    offset=it,
                    key=b"",
                    value=value,
                    timestamp=1,
                )
                for it in range(offset, offset + 300)
            ]
        }

    async def commit(self, offsets: dict[TopicPartition, int]) -> None:
        self.commits.append(offsets)

    async def position(self, _: TopicPartition) -> int:
        return 0

    def assignment(self) -> list[TopicPartition]:
        return self.tps

    def last_stable_offset(self, _: TopicPartition) -> int:
        return 50_000


@pytest.fixture
def lists_of_4000(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit stays 4,000, which is 14 fetches of 300: the last one exceeds it."""
    monkeypatch.setattr(projector, "MAX_BATCH", projector._FIRST_MOST)


def behind(kept: Kept) -> tuple[Projector, Backlog]:
    """A projector that knows that much is left to write."""
    grouped = GroupedProjection(name="toy", group="toy", topics=(TOPIC,), make=lambda _: kept)
    settings = GroupSettings(servers=[], member=None, tuning=Tuning())
    one, backlog = Projector(grouped, kept, settings, Standing(lag=100_000)), Backlog()
    one.consumer, one.is_placed = backlog, True
    return one, backlog


@pytest.mark.usefixtures("lists_of_4000")
async def test_while_events_are_left_to_write_short_fetches_become_one_list() -> None:
    """A transaction for each fetch of a partition made rows cost half as much again."""
    kept = Kept()
    one, backlog = behind(kept)
    await one._step()
    assert (kept.tries, len(kept.numbers)) == (1, 14 * 300)
    assert backlog.commits == [dict.fromkeys(backlog.tps, 7 * 300)]


async def test_a_list_of_many_bytes_gets_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the events of a list would take as much memory as the largest ones need."""
    # A value has 12 or 13 bytes, and no decoder.
    monkeypatch.setattr(projector, "MAX_BATCH_BYTES", 14 * 300 * projector._OBJECTS)
    kept = Kept()
    one, _ = behind(kept)
    await one._step()
    assert len(kept.numbers) == 300 * 2
    await one._drop_coming()


async def test_a_list_that_takes_too_long_is_written_in_parts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else a slow database would be given the same list for ever."""
    monkeypatch.setattr(projector, "growing_pauses", lambda: repeat(0.0))

    class Slow(Kept):
        async def apply(self, events: Sequence[ProjectedEvent]) -> None:
            self.tries += 1
            if len(events) > 100:
                raise TimeoutError
            self.numbers += [event.value["number"] for event in events]

    kept = Slow()
    one, _ = behind(kept)
    events = [ProjectedEvent(TOPIC, {"number": it}) for it in range(350)]
    await one.write([SimpleNamespace(headers=())], events)
    assert kept.numbers == list(range(350))
    # 350 and 175 are too many, 87 are not; then 174, 87, 174, 87, and the last 89.
    assert kept.tries == 8
    await one.write([SimpleNamespace(headers=())], [])
    assert kept.tries == 9


async def test_a_projection_that_cannot_prepare_is_given_its_list_all_the_same() -> None:
    class CannotPrepare(Kept):
        async def prepare(self, events: Sequence[ProjectedEvent]) -> None:
            del events
            raise asyncio.CancelledError

    kept = CannotPrepare()
    one, _ = behind(kept)
    await one._step()
    assert kept.numbers
    await one._drop_coming()


async def test_after_a_failure_nothing_counts_as_being_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A list would grow until it is full, as if another one were being written."""
    one, _ = behind(Kept())
    one.in_hand = 7

    def no_broker(_: object) -> NoReturn:
        raise OSError("the broker is away")

    monkeypatch.setattr(projector, "admin_of", no_broker)
    with pytest.raises(OSError, match="away"):
        await one._connected()
    assert one.in_hand == 0


async def test_lists_get_longer_and_shorter_with_the_time_that_one_is_written() -> None:
    one, _ = behind(Kept())
    lengths = [one.most]
    written_in = ((3, 0.1), (4_000, 0.9), (8_000, 0.9), (16_000, 0.9), (16_000, 4), (10, 9))
    for written, seconds in written_in:
        one.in_hand = written
        one.took(seconds)
        lengths.append(one.most)
    assert lengths == [4_000, 4_000, 8_000, 16_000, 16_000, 4_000, 500]


async def test_a_list_grows_for_as_long_as_another_one_is_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A slow database gets longer lists, whose rows cost less."""
    monkeypatch.setattr(projector, "_BUSY_LINGER_SECONDS", 0)
    kept = Kept()
    one, backlog = behind(kept)
    kept.is_up.clear()
    step = asyncio.create_task(one._step())
    await until(lambda: backlog.fetches > 10)
    kept.is_up.set()
    await step
    # Nothing was gathered for the first list, as nothing was being written.
    assert len(kept.numbers) == 300
    await one._step()
    assert len(kept.numbers) > 10 * 300
    await one._drop_coming()


@pytest.mark.usefixtures("lists_of_4000")
async def test_while_a_list_is_written_the_next_one_is_fetched_and_not_committed() -> None:
    kept = Kept()
    one, backlog = behind(kept)
    kept.is_up.clear()
    step = asyncio.create_task(one._step())
    await until(lambda: one.coming is not None and one.coming.done())
    assert (kept.tries, backlog.fetches, backlog.commits) == (1, 2 * 14, [])
    kept.is_up.set()
    await step
    assert backlog.commits == [dict.fromkeys(backlog.tps, 7 * 300)]
    await one._step()
    assert (kept.tries, len(kept.numbers)) == (2, 2 * 14 * 300)
    assert backlog.commits[1:] == [dict.fromkeys(backlog.tps, 2 * 7 * 300)]
    await one._drop_coming()


@pytest.mark.usefixtures("lists_of_4000")
@pytest.mark.parametrize("is_fetched", [True, False])
async def test_what_was_fetched_ahead_is_dropped_when_partitions_move(*, is_fetched: bool) -> None:
    """The next owner of the partitions reads from the last commit on."""
    kept = Kept()
    one, backlog = behind(kept)
    await one._step()
    assert one.coming is not None
    if is_fetched:
        await until(one.coming.done)
    else:  # it is being decoded
        while backlog.fetches < 2 * 14:  # noqa: ASYNC110 - no longer than this
            await asyncio.sleep(0)
        assert not one.coming.done()
    await one.on_partitions_revoked(backlog.tps)
    await one.on_partitions_assigned(backlog.tps)
    await one._step()
    # The numbers are those of the fetches.
    assert set(kept.numbers) == {*range(1, 15), *range(29, 43)}
    await one._drop_coming()


def test_a_decoder_that_ends_its_program_ends_no_loop() -> None:
    """asyncio lets only this error out of a task, and the loop ends with it."""
    kept = Kept()
    kept.decoders = {TOPIC: lambda _: sys.exit(3)}
    one, _ = behind(kept)
    with pytest.raises(RuntimeError, match="its code ended itself"):
        one.decoded([SimpleNamespace(topic=TOPIC, value=b"{}")])


async def test_a_stop_counts_though_something_else_fails_on_the_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def fails_at_its_stop(_: Projector) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise OSError("the broker is away")

    monkeypatch.setattr(Projector, "_connected", fails_at_its_stop)
    one, _ = behind(Kept())
    task = asyncio.create_task(one.run())
    await asyncio.sleep(0)
    task.cancel()
    async with asyncio.timeout(PATIENCE_SECONDS):
        await asyncio.wait([task])
    assert task.cancelled()


async def test_the_first_start_goes_on_where_the_group_of_before_was(shop: Shop) -> None:
    kept = Kept()
    await shop.sell(*range(10))
    await shop.commits(FORMER, {TopicPartition(TOPIC, 0): 3})
    async with shop.projecting(kept, former_group=FORMER):
        await until(lambda: len(kept.numbers) == 7)
    # Partition 0 has the even numbers; of partition 1 the group of before had read nothing.
    assert sorted(kept.numbers) == [1, 3, 5, 6, 7, 8, 9]


async def test_nothing_is_read_before_the_offsets_of_the_former_group_are_known(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, looked_up = Kept(), Projector._committed

    async def slowly(*wanted: Any) -> Any:
        await asyncio.sleep(0.5)
        return await looked_up(*wanted)

    monkeypatch.setattr(Projector, "_committed", slowly)
    await shop.sell(*range(10))
    await shop.commits(FORMER, {TopicPartition(TOPIC, 0): 3})
    async with shop.projecting(kept, former_group=FORMER):
        await until(lambda: len(kept.numbers) >= 7)
    assert sorted(kept.numbers) == [1, 3, 5, 6, 7, 8, 9]


async def test_where_the_group_of_before_was_counts_only_once(shop: Shop) -> None:
    first, second = Kept(), Kept()
    await shop.sell(*range(10))
    await shop.commits(FORMER, {TopicPartition(TOPIC, 0): 5, TopicPartition(TOPIC, 1): 5})
    async with shop.projecting(first, former_group=FORMER):
        while await shop.committed(f"{GROUP}-toy") < 10:  # noqa: ASYNC110 - the broker tells
            await asyncio.sleep(0.02)
    await shop.commits(FORMER, {TopicPartition(TOPIC, 0): 0, TopicPartition(TOPIC, 1): 0})
    await shop.sell(10)
    async with shop.projecting(second, former_group=FORMER):
        await until(lambda: second.numbers)
    assert (first.numbers, second.numbers) == ([], [10])


async def test_one_projection_that_stands_still_holds_up_no_other(shop: Shop) -> None:
    still, other = Kept(), Kept()
    still.is_up.clear()
    await shop.sell(*range(10))
    async with shop.projecting(still, name="still"), shop.projecting(other, name="other"):
        await until(lambda: still.tries and len(other.numbers) == 10)
        while await shop.committed(f"{GROUP}-other") < 10:  # noqa: ASYNC110 - the broker tells
            await asyncio.sleep(0.02)
        assert await shop.committed(f"{GROUP}-still") == 0


async def test_two_processes_share_the_partitions_and_lose_nothing_as_they_come_and_go(
    shop: Shop,
) -> None:
    kept = Kept()
    await shop.sell(*range(100))
    async with shop.projecting(kept):
        await until(lambda: len(set(kept.numbers)) == 100)
        async with shop.projecting(kept):
            await shop.sell(*range(100, 200))
            await until(lambda: len(set(kept.numbers)) == 200)
        await shop.sell(*range(200, 300))
        await until(lambda: len(set(kept.numbers)) == 300)
    assert set(kept.numbers) == set(range(300))


async def test_a_topic_that_is_made_later_is_found(shop: Shop) -> None:
    kept, standing = Kept(), Standing()
    async with shop.projecting(kept, standing, topics=("made-later",)):
        await until(lambda: standing.trouble == "no topic made-later")
        admin = AIOKafkaAdminClient(bootstrap_servers=shop.servers)
        await admin.start()
        await admin.create_topics([NewTopic("made-later", num_partitions=2, replication_factor=1)])
        await admin.close()
        await shop.sell(1, topic="made-later")
        await until(lambda: kept.numbers == [1])


async def test_a_cancellation_that_nobody_asked_for_is_an_error_that_passes(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = aiokafka.AIOKafkaConsumer.stop
    stops = []

    async def cancels_at_first(self: aiokafka.AIOKafkaConsumer) -> None:
        await stop(self)
        stops.append(self)
        if len(stops) == 1:
            raise asyncio.CancelledError  # as `Fetcher.close` does where it waits to try again

    monkeypatch.setattr(aiokafka.AIOKafkaConsumer, "stop", cancels_at_first)
    monkeypatch.setattr(Projector, "_step", failing_once(Projector._step))
    kept = Kept()
    await shop.sell(1)
    async with shop.projecting(kept):
        await until(lambda: kept.numbers == [1])


async def test_a_commit_that_never_ends_is_given_up(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    commit = aiokafka.AIOKafkaConsumer.commit
    commits = []

    async def hangs_at_first(self: aiokafka.AIOKafkaConsumer, offsets: Any) -> None:
        commits.append(offsets)
        if len(commits) == 1:
            await asyncio.Event().wait()
        await commit(self, offsets)

    monkeypatch.setattr(aiokafka.AIOKafkaConsumer, "commit", hangs_at_first)
    monkeypatch.setattr(projector, "_BROKER_SECONDS", 2)
    kept = Kept()
    await shop.sell(1)
    async with shop.projecting(kept):
        await until(lambda: len(commits) > 1)
    assert kept.numbers == [1, 1]
    assert "stopped (TimeoutError())" in caplog.text


def failing_once(step: Callable[[Projector], Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    failed = []

    async def fail(self: Projector) -> None:
        if not failed:
            failed.append(self)
            raise OSError("gone")
        await step(self)

    return fail
