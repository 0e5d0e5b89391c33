"""Apache Kafka in KRaft mode on loopback, from Maven coordinates: Java 17 and Maven are needed."""

import asyncio
import base64
import contextlib
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiokafka.conn import create_conn
from aiokafka.errors import KafkaError
from aiokafka.protocol.metadata import MetadataRequest

from tests.servers.process import READY_SECONDS, ServerProcess, lasting_ports

VARIABLE = "POSSTREAM_TEST_BROKER"

_POM = Path(__file__).with_name("pom.xml")
_JARS = Path(".venv").absolute() / "kafka"
_CLASSES = _JARS / "classes.jsa"
_ANSWER_MS = 2_000

# Started often and for minutes only, so the quick compiler is the better one.
_JAVA = ("java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Dlog4j2.level=WARN")

#: The same for all nodes. Shorter waits only; what Kafka promises is not touched.
_COMMON = {
    "process.roles": "broker,controller",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "group.initial.rebalance.delay.ms": 0,
    "auto.create.topics.enable": "false",
    # The first member of the first group waits for all of them to be made.
    "offsets.topic.num.partitions": 6,
    "transaction.state.log.num.partitions": 6,
    # A dead or paused node is noticed in seconds.
    "broker.heartbeat.interval.ms": 500,
    "broker.session.timeout.ms": 3_000,
    "controller.socket.timeout.ms": 3_000,
    "replica.lag.time.max.ms": 3_000,
    "replica.socket.timeout.ms": 3_000,
    # Compaction and retention happen in seconds where a topic's small segments allow it.
    "log.cleaner.backoff.ms": 500,
    "log.retention.check.interval.ms": 500,
    "log.initial.task.delay.ms": 500,
    "log.segment.delete.delay.ms": 500,
}


def lacking() -> str | None:
    """What this machine has not, if anything."""
    missing = [command for command in ("java", "mvn") if shutil.which(command) is None]
    return f"{' and '.join(missing)} not found" if missing else None


@dataclass(frozen=True)
class Extras:
    """What one node has beside its plain listener."""

    #: Name -> port. `properties` says how they are secured.
    listeners: Mapping[str, int] = field(default_factory=dict)
    properties: Mapping[str, object] = field(default_factory=dict)
    #: Arguments of the tool that formats the storage.
    format: Sequence[str] = ()
    #: Arguments of Java.
    java: Sequence[str] = ()


class Node(ServerProcess):
    """One broker and controller."""

    def __init__(self, number: int, folder: Path, port: int, java: Sequence[str]) -> None:
        self.id = number
        self.server = f"127.0.0.1:{port}"
        self.folder = folder
        self.properties = folder / "server.properties"
        self._port = port
        super().__init__([*java, "kafka.Kafka", str(self.properties)], folder / "kafka.log")

    async def answers(self) -> bool:
        """Whether it takes part: it is among the brokers that it names to its clients."""
        seen = await self.view()
        return seen is not None and self.id in {broker["node_id"] for broker in seen["brokers"]}

    async def view(self) -> dict[str, Any] | None:
        """The cluster's `brokers` and `topics` as this node knows them; None if it is silent."""
        with contextlib.suppress(KafkaError, OSError, TimeoutError):
            async with asyncio.timeout(_ANSWER_MS / 1_000):
                connection = await create_conn(
                    "127.0.0.1", self._port, request_timeout_ms=_ANSWER_MS
                )
                try:
                    answer = await connection.send(MetadataRequest(None))
                finally:
                    connection.close()
                seen: dict[str, Any] = answer.to_object()
                return seen
        return None


class Cluster:
    """One node, or three of which any two hold the quorum and acknowledge."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.nodes = nodes

    @property
    def address(self) -> str:
        """As POSSTREAM_BROKER takes it."""
        return "kafka://" + ";".join(node.server for node in self.nodes)

    @property
    def servers(self) -> list[str]:
        """`host:port` of each node, as aiokafka takes them."""
        return [node.server for node in self.nodes]

    async def ready(self, seconds: float = READY_SECONDS) -> None:
        """Wait until each node that runs answers and no partition waits for one of them.

        Raises:
            RuntimeError: with the end of a node's log, if one ended or the time is up.
        """
        give_up_at = time.monotonic() + seconds
        running = [node for node in self.nodes if node.running]
        await asyncio.gather(*(node.ready(seconds) for node in running))
        while not all([_complete(await node.view(), running) for node in running]):
            if time.monotonic() > give_up_at:
                raise RuntimeError(f"replicas are missing: {running[0].log[-3000:]}")
            await asyncio.sleep(0.1)

    async def leader_of(self, topic: str, partition: int, seconds: float = 30) -> Node:
        """The node that leads a partition and answers; waits for the election if there is none.

        Raises:
            RuntimeError: if the time is up.
        """
        give_up_at = time.monotonic() + seconds
        while time.monotonic() < give_up_at:
            views = await asyncio.gather(*(node.view() for node in self.nodes if node.running))
            # A node that was away for a while may be behind: all who answer must agree.
            leaders = {_leader(view, topic, partition) for view in views if view is not None}
            for node in self.nodes:
                if leaders == {node.id} and await node.answers():
                    return node
            await asyncio.sleep(0.1)
        raise RuntimeError(f"nobody leads partition {partition} of {topic}")


@contextlib.contextmanager
def cluster(nodes: int = 1, extras: Extras = Extras()) -> Iterator[Cluster]:
    """A cluster that is started; `ready` waits for it. All of it is gone afterwards."""
    _fetch_jars()
    java = (*_JAVA, f"-XX:SharedArchiveFile={_CLASSES}")
    with _started(nodes, java=java, extras=extras) as made:
        yield made


def acls_tool(*arguments: str) -> None:
    """Run `kafka-acls.sh`."""
    java = [*_JAVA, f"-XX:SharedArchiveFile={_CLASSES}", "-cp", f"{_JARS}/*"]
    tool = [*java, "org.apache.kafka.tools.AclCommand", *arguments]
    subprocess.run(tool, check=True, capture_output=True)


@contextlib.contextmanager
def running(nodes: int = 1) -> Iterator[str]:
    """A cluster that answers; yields its address as POSSTREAM_BROKER takes it."""
    with cluster(nodes) as made:
        asyncio.run(made.ready())
        yield made.address


def _complete(view: dict[str, Any] | None, running: Sequence[Node]) -> bool:
    ids = {node.id for node in running}
    return (
        view is not None
        and ids == {broker["node_id"] for broker in view["brokers"]}
        and all(
            ids & set(partition["replicas"]) == set(partition["isr"])
            for topic in view["topics"]
            for partition in topic["partitions"]
        )
    )


def _leader(view: dict[str, Any], name: str, number: int) -> int | None:
    leaders = {
        (topic["topic"], partition["partition"]): int(partition["leader"])
        for topic in view["topics"]
        for partition in topic["partitions"]
    }
    return leaders.get((name, number))


def _fetch_jars() -> None:
    done = _JARS / f"{_POM.stat().st_size}.done"
    if done.exists():
        return
    copy = ["mvn", "-q", "-B", "-f", str(_POM), "dependency:copy-dependencies"]
    subprocess.run([*copy, f"-DoutputDirectory={_JARS}"], check=True)
    _archive_classes()
    done.touch()


def _archive_classes() -> None:
    """Keep the loaded classes of one run in a file of Java's own: later starts take half as long.

    Java leaves a file alone that does not fit, such as another version's.
    """
    _CLASSES.unlink(missing_ok=True)
    with _started(1, java=(*_JAVA, f"-XX:ArchiveClassesAtExit={_CLASSES}")) as made:
        (node,) = made.nodes

        async def run_once() -> None:
            await node.ready()
            await node.stop()

        # In a thread: the caller may have a loop of its own.
        with ThreadPoolExecutor(1) as beside:
            beside.submit(asyncio.run, run_once()).result()


@contextlib.contextmanager
def _started(count: int, *, java: Sequence[str], extras: Extras = Extras()) -> Iterator[Cluster]:
    with contextlib.ExitStack() as afterwards:
        name = afterwards.enter_context(tempfile.TemporaryDirectory(prefix="posstream-kafka-"))
        made = Cluster(_formatted(Path(name), count, (*java, *extras.java), extras))
        for node in made.nodes:
            afterwards.callback(node.kill)
            node.start()
        yield made


def _formatted(folder: Path, count: int, java: Sequence[str], extras: Extras) -> list[Node]:
    """Nodes with folders of their own, one quorum, and empty storage."""
    ports = lasting_ports(2 * count)
    brokers = dict(enumerate(ports[:count], start=1))
    controllers = dict(enumerate(ports[count:], start=1))
    copies, in_sync = (3, 2) if count >= 3 else (1, 1)
    java = (*java, f"-Xmx{384 if count > 1 else 512}m", "-cp", f"{_JARS}/*")
    nodes = []
    for number, port in brokers.items():
        node = Node(number, folder / str(number), port, java)
        node.folder.mkdir()
        advertised = [
            f"PLAINTEXT://{node.server}",
            *(f"{name}://127.0.0.1:{at}" for name, at in extras.listeners.items()),
        ]
        properties = _COMMON | {
            "node.id": number,
            "controller.quorum.voters": ",".join(
                f"{voter}@127.0.0.1:{at}" for voter, at in controllers.items()
            ),
            "listeners": ",".join([*advertised, f"CONTROLLER://127.0.0.1:{controllers[number]}"]),
            "advertised.listeners": ",".join(advertised),
            "log.dirs": node.folder / "data",
            "default.replication.factor": copies,
            "min.insync.replicas": in_sync,
            "offsets.topic.replication.factor": copies,
            "transaction.state.log.replication.factor": copies,
            "transaction.state.log.min.isr": in_sync,
            **extras.properties,
        }
        lines = (f"{name}={value}\n" for name, value in properties.items())
        node.properties.write_text("".join(lines))
        nodes.append(node)
    _format(nodes, java, extras.format)
    return nodes


def _format(nodes: Sequence[Node], java: Sequence[str], more: Sequence[str]) -> None:
    # What `StorageTool random-uuid` prints, without a second of Java. A dash in front would make
    # it an option.
    cluster_id = "A" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")[1:]
    for node in nodes:
        tool = [*java, "kafka.tools.StorageTool", "format", "-t", cluster_id]
        with node.log_file.open("wb") as log:
            command = [*tool, "-c", str(node.properties), *more]
            subprocess.run(command, check=True, stdout=log, stderr=log)
