"""A broker of our own for one run, and what is asked of it by a client of another make."""

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

from agents.customer_lookup import topics
from benchmarks import connecting, processes
from benchmarks.connecting import by_librdkafka
from benchmarks.progress import say
from posstream.kafka.embedded_broker import EmbeddedBroker, free_port
from posstream.plugins.discovery import find_plugins
from tests.servers import kafka

#: How the answers' topic of posstream is made; those of the others are made alike.
_ANSWERS: Final = next(t for t in find_plugins().topics if t.name == topics.CUSTOMER_DATA_FETCHED)
_PATIENCE_SECONDS: Final = 30
_POLL_SECONDS: Final = 0.05
_FETCH: Final = 10_000


@dataclass
class Stage:
    """One broker, empty at first."""

    servers: str
    #: What it is, in words.
    broker: str
    #: Its processes.
    pids: Sequence[int]
    #: Whether its ListOffsets can be believed, and records and offsets be deleted.
    is_kafka: bool
    #: For whatever a run leaves on disk.
    folder: Path
    admin: AdminClient = field(init=False)
    _made: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.admin = AdminClient(by_librdkafka(self.servers))

    def next_number(self) -> int:
        """A number that was not given before."""
        self._made += 1
        return self._made

    def new_folder(self, name: str) -> Path:
        """An empty folder."""
        folder = self.folder / f"{self.next_number():03}-{name}"
        folder.mkdir(parents=True)
        return folder

    # -- topics

    def create(self, name: str, partitions: int) -> None:
        """Make a topic like the one that posstream answers to."""
        # As many copies as the broker makes by itself.
        topic = NewTopic(name, partitions, replication_factor=-1, config=_ANSWERS.config)
        for made in self.admin.create_topics([topic]).values():
            made.result(_PATIENCE_SECONDS)
        self.partitions(name)

    def new_topic(self, title: str, partitions: int) -> str:
        """Make a topic that was not there before; its name."""
        name = f"{title}-{self.next_number()}".replace("_", "-")
        self.create(name, partitions)
        return name

    def delete(self, *names: str) -> None:
        """Drop topics and what is in them."""
        for gone in self.admin.delete_topics(list(names)).values():
            gone.result(_PATIENCE_SECONDS)

    def partitions(self, name: str) -> list[TopicPartition]:
        """The partitions of a topic, when it is there.

        Raises:
            RuntimeError: if it does not come.
        """
        give_up_at = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < give_up_at:
            known = self.admin.list_topics(name, timeout=_PATIENCE_SECONDS).topics[name]
            if known.error is None and known.partitions:
                return [TopicPartition(name, number) for number in sorted(known.partitions)]
            time.sleep(_POLL_SECONDS)
        raise RuntimeError(f"no topic {name}")

    def empty(self, *names: str) -> None:
        """Delete what is in topics; the embedded broker cannot, and keeps it."""
        if not self.is_kafka:
            return
        ends = [end for name in names for end in self.ends(name)]
        if ends:
            for gone in self.admin.delete_records(ends).values():
                gone.result(_PATIENCE_SECONDS)

    # -- what is in them

    def ends(self, name: str) -> list[TopicPartition]:
        """Each partition with the offset that comes next.

        The embedded broker tells the base of the last batch instead: there they are fetched.
        """
        partitions = self.partitions(name)
        if not self.is_kafka:
            return self._fetched_ends(partitions)
        return self.listed(partitions)

    def listed(self, partitions: Sequence[TopicPartition]) -> list[TopicPartition]:
        """What ListOffsets says; one request, or some more while a new topic has no leader."""
        give_up_at = time.monotonic() + _PATIENCE_SECONDS
        while True:
            asked = self.admin.list_offsets({it: OffsetSpec.latest() for it in partitions})
            try:
                return [
                    TopicPartition(it.topic, it.partition, asked[it].result().offset)
                    for it in partitions
                ]
            except KafkaException:
                if time.monotonic() > give_up_at:
                    raise
                time.sleep(_POLL_SECONDS)

    @contextmanager
    def counting(self, since: Sequence[TopicPartition]) -> Iterator[Callable[[], int]]:
        """Counts what comes to a topic after some offsets."""
        if self.is_kafka:
            before = total(since)
            yield lambda: total(self.listed(since)) - before
            return
        seen = 0
        with self.reader() as reader:
            reader.assign(list(since))

            def count() -> int:
                nonlocal seen
                while fetched := reader.consume(_FETCH, 0.02):
                    seen += sum(message.error() is None for message in fetched)
                return seen

            yield count

    @contextmanager
    def committing(self, group: str, topic: str) -> Iterator[Callable[[], int]]:
        """Counts the records of a topic that a group has committed, if none was deleted.

        By a consumer that never joins: the admin client dies of a group without a coordinator.
        """
        partitions = self.partitions(topic)
        consumer = Consumer({**by_librdkafka(self.servers), "group.id": group})
        count = 0

        def counted() -> int:
            nonlocal count
            # The first group of a broker has no coordinator for a while.
            with contextlib.suppress(KafkaException):
                found = consumer.committed(partitions, _PATIENCE_SECONDS)
                count = sum(max(0, it.offset) for it in found)
            return count

        try:
            yield counted
        finally:
            consumer.close()

    def forget_group(self, group: str) -> None:
        """Delete a group without members: its next member reads from the start."""
        for gone in self.admin.delete_consumer_groups([group]).values():
            gone.result(_PATIENCE_SECONDS)

    def _fetched_ends(self, partitions: Sequence[TopicPartition]) -> list[TopicPartition]:
        ends = {it.partition: 0 for it in partitions}
        at_end: set[int] = set()
        give_up_at = time.monotonic() + _PATIENCE_SECONDS
        with self.reader() as reader:
            reader.assign([TopicPartition(it.topic, it.partition, 0) for it in partitions])
            while len(at_end) < len(ends) and time.monotonic() < give_up_at:
                for message in reader.consume(_FETCH, 0.2):
                    number = message.partition()
                    if message.error() is not None:
                        at_end.add(number)
                    else:
                        at_end.discard(number)
                        ends[number] = message.offset() + 1
        return [TopicPartition(it.topic, it.partition, ends[it.partition]) for it in partitions]

    @contextmanager
    def reader(self) -> Iterator[Consumer]:
        """A consumer without a group; it says where a partition ends."""
        reader = Consumer(
            {
                **by_librdkafka(self.servers),
                "group.id": "benchmarks-reader",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 20,
                "fetch.message.max.bytes": 4 * 1024 * 1024,
            }
        )
        try:
            yield reader
        finally:
            reader.close()

    def read(
        self, since: Sequence[TopicPartition], until: Sequence[TopicPartition]
    ) -> Iterator[Message]:
        """Every record between two offsets of each partition.

        Raises:
            RuntimeError: if they do not come.
        """
        ends = {it.partition: it.offset for it in until}
        left = {it.partition for it in since if it.offset < ends[it.partition]}
        with self.reader() as reader:
            reader.assign([it for it in since if it.partition in left])
            heard_at = time.monotonic()
            while left:
                fetched = reader.consume(_FETCH, 0.2)
                for message in fetched:
                    if message.error() is None and message.offset() < ends[message.partition()]:
                        yield message
                        heard_at = time.monotonic()
                        if message.offset() + 1 == ends[message.partition()]:
                            left.discard(message.partition())
                if time.monotonic() - heard_at > _PATIENCE_SECONDS:
                    raise RuntimeError(f"records of {since[0].topic} are missing")


def total(offsets: Iterable[TopicPartition]) -> int:
    """The sum of some offsets."""
    return sum(it.offset for it in offsets)


@contextmanager
def stage(folder: Path, *, embedded: bool = False) -> Iterator[Stage]:
    """A fresh broker: Apache Kafka, or the embedded one where Java is missing or it is wanted.

    A broker that was given (`connecting.choose`) has no topic of ours before, and none afterwards.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lacking = kafka.lacking()
    given = connecting.given()
    with ExitStack() as afterwards:
        if given is not None:
            yield afterwards.enter_context(
                _cleared(Stage(given, "a given Kafka", [], True, folder))
            )
        elif embedded or lacking is not None:
            if not embedded:
                say(f"{lacking}: on the embedded broker, which is no measure of anything")
            broker = EmbeddedBroker(free_port(), log_file=folder / "broker.log")
            afterwards.callback(broker.stop)
            before = set(processes.tree(os.getpid()))
            broker.start()
            pids = sorted(set(processes.tree(os.getpid())) - before)
            yield Stage(broker.address, "the embedded broker", pids, False, folder)
        else:
            before = set(processes.tree(os.getpid()))
            address = afterwards.enter_context(kafka.running())
            pids = sorted(set(processes.tree(os.getpid())) - before)
            servers = address.removeprefix("kafka://")
            yield Stage(servers, f"Apache Kafka {_kafka_version()}", pids, True, folder)


@contextmanager
def _cleared(on: Stage) -> Iterator[Stage]:
    """A broker of somebody's, whose topics of ours are gone afterwards.

    Raises:
        RuntimeError: if it has topics of posstream: their events would be deleted.
    """
    before = on.admin.list_topics(timeout=_PATIENCE_SECONDS).topics.keys()
    found = sorted(before & {topic.name for topic in find_plugins().topics})
    if found:
        raise RuntimeError(f"the given broker has topics of posstream, such as {found[0]}")
    try:
        yield on
    finally:
        now = on.admin.list_topics(timeout=_PATIENCE_SECONDS).topics.keys()
        made = {name for name in now - before if not name.startswith("__")}  # those are Kafka's
        on.delete(*made)
        while made & on.admin.list_topics(timeout=_PATIENCE_SECONDS).topics.keys():
            time.sleep(_POLL_SECONDS)


def _kafka_version() -> str:
    jars = Path(".venv/kafka").glob("kafka-clients-*.jar")
    return next((jar.stem.removeprefix("kafka-clients-") for jar in jars), "")
