"""Real processes for tests: a broker, workers, and a foreign client that counts answers."""

import asyncio
import contextlib
import os
import resource
import signal
import struct
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import aiokafka
import orjson
from aiokafka.record.util import calc_crc32c
from prometheus_client.parser import text_string_to_metric_families

from agents.customer_lookup import topics
from posstream.events.ids import derived
from posstream.kafka.embedded_broker import free_port
from posstream.settings import Settings

READY_SECONDS = 60


def environment(**settings: object) -> dict[str, str]:
    """The environment without the developer's own settings, with those of the test."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("POSSTREAM_")}
    return kept | {f"POSSTREAM_{name.upper()}": str(value) for name, value in settings.items()}


class Worker:
    """One `faust -A posstream.app worker` process, or one of another module's app.

    Args:
        servers: its broker.
        datadir: its own; the log is there too.
        api_query: faults of its mock directory, as `?delay_ms=500`.
        application: the module with the app.
        cwd: another checkout to run; its packages go before the installed ones.
        environ: more names of the environment.
        log_level: lines below it are left out.
        settings: as the environment has them, without the prefix.
    """

    def __init__(
        self,
        servers: str,
        datadir: Path,
        *,
        api_query: str = "",
        application: str = "posstream.app",
        cwd: Path | None = None,
        environ: Mapping[str, str] | None = None,
        log_level: str = "info",
        **settings: object,
    ) -> None:
        self.datadir = datadir
        self.servers = servers
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log_file = datadir / "worker.log"
        self._application = application
        self._cwd = cwd
        self._log_level = log_level
        datadir.mkdir(parents=True, exist_ok=True)
        datadir.chmod(0o755)  # as most people's umask makes it; a command that ran here sets ours
        self._environment = environment(
            broker=f"kafka://{servers}",
            datadir=datadir,
            web_port=self.port,
            **{
                "api_endpoint": f"{self.url}/api/mock-customer-lookup/{api_query}",
                "topic_partitions": Settings().topic_partitions,
                **settings,
            },
        ) | dict(environ or {})
        self._process: subprocess.Popen[bytes] | None = None
        #: How often it was started.
        self.starts = 0

    def start(self) -> None:
        self.starts += 1
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "faust",
                    "-A",
                    self._application,
                    "worker",
                    "-l",
                    self._log_level,
                ],
                env=self._environment,
                cwd=self._cwd,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    async def ready(self) -> None:
        give_up_at = time.monotonic() + READY_SECONDS
        async with aiohttp.ClientSession() as http:
            while time.monotonic() < give_up_at:
                assert self.running, self.log[-3000:]
                with contextlib.suppress(aiohttp.ClientError):
                    async with http.get(f"{self.url}/health/ready") as response:
                        if response.ok:
                            return
                await asyncio.sleep(0.1)
        raise AssertionError(f"not ready in {READY_SECONDS} s: {self.log[-3000:]}")

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def kill_beside(self) -> None:
        """Kill the processes of its plugins beside the lookups."""
        self._tell_beside(signal.SIGKILL)

    def freeze_beside(self) -> None:
        """SIGSTOP for the processes of its plugins beside the lookups."""
        self._tell_beside(signal.SIGSTOP)

    def thaw_beside(self) -> None:
        """SIGCONT."""
        self._tell_beside(signal.SIGCONT)

    def _tell_beside(self, what: signal.Signals) -> None:
        assert self._process is not None
        ours = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        processes = [Path("/proc") / child for child in ours.read_text().split()]
        beside = [it for it in processes if b"beside_child" in (it / "cmdline").read_bytes()]
        assert beside, "it has no such process"
        for it in beside:
            os.kill(int(it.name), what)

    def wait(self, seconds: float = 30) -> int:
        """The exit code, when it has ended by itself."""
        assert self._process is not None
        return self._process.wait(seconds)

    def freeze(self) -> None:
        """SIGSTOP: its connections stay open, and it does nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def stop(self, seconds: float = 30) -> int:
        """SIGTERM, and the exit code."""
        assert self._process is not None
        if self.running:
            self._process.send_signal(signal.SIGTERM)
        return self._process.wait(seconds)

    async def graphql(self, query: str, **variables: object) -> dict[str, Any]:
        body = {"query": query, "variables": variables}
        async with (
            aiohttp.ClientSession() as http,
            http.post(f"{self.url}/graphql/", json=body) as response,
        ):
            answer: dict[str, Any] = await response.json()
            return answer

    async def configure(self, **config: object) -> int:
        """Change the live configuration; returns the version that is in force now."""
        mutation = (
            "mutation ($config: JSONString) { updatePluginConfiguration("
            'name: "customer_lookup", config: $config) { success version error { message } } }'
        )
        async with asyncio.timeout(60):
            while True:
                answer = await self.graphql(mutation, config=orjson.dumps(config).decode())
                result = (answer["data"] or {}).get("updatePluginConfiguration")
                if result is not None:  # else a busy machine let the time for a mutation run out
                    break
        assert result["success"], result
        return int(result["version"])

    async def metric(self, name: str, **labels: str) -> float:
        """The value of one metric now; 0 if it was never counted."""
        key = self._environment.get("POSSTREAM_API_KEY", "")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        async with (
            aiohttp.ClientSession(headers=headers) as http,
            http.get(f"{self.url}/metrics") as response,
        ):
            text = await response.text()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == name and sample.labels == labels:
                    return float(sample.value)
        return 0.0

    @property
    def rss_bytes(self) -> int:
        assert self._process is not None
        status = Path(f"/proc/{self._process.pid}/statm").read_text()
        return int(status.split()[1]) * resource.getpagesize()


async def until(ask: Callable[[], Awaitable[Any]], expected: Any, seconds: float = 120) -> None:
    """Ask again and again until the answer is as expected; fails the test when the time is up."""
    give_up_at = time.monotonic() + seconds
    while (answer := await ask()) != expected:
        assert time.monotonic() < give_up_at, f"still {answer} after {seconds} s"
        await asyncio.sleep(0.1)


@dataclass
class Seen:
    """Every record of some topics, as a foreign client reads them."""

    records: list[Any] = field(default_factory=list)

    def of(self, *names: str) -> list[dict[str, Any]]:
        return [orjson.loads(r.value) for r in self.records if r.topic in names]

    def counts(self, field_name: str, *names: str) -> Counter[str]:
        return Counter(value[field_name] for value in self.of(*names))


class ForeignClient:
    """A plain aiokafka producer and a group-less reader of everything that posstream writes."""

    def __init__(
        self, producer: aiokafka.AIOKafkaProducer, consumer: aiokafka.AIOKafkaConsumer
    ) -> None:
        self.producer = producer
        self.seen = Seen()
        self._consumer = consumer

    async def read_until(self, done: Any, seconds: float = 60) -> None:
        """Read on until `done(seen)`; fails the test when the time is up."""
        give_up_at = time.monotonic() + seconds
        while not done(self.seen):
            assert time.monotonic() < give_up_at, f"still waiting after {seconds} s"
            for batch in (await self._consumer.getmany(timeout_ms=200)).values():
                self.seen.records.extend(batch)

    async def read_for(self, seconds: float) -> None:
        """Read whatever else comes, for a while: nothing more may come."""
        stop_at = time.monotonic() + seconds
        while time.monotonic() < stop_at:
            for batch in (await self._consumer.getmany(timeout_ms=200)).values():
                self.seen.records.extend(batch)


@contextlib.asynccontextmanager
async def foreign_client(servers: str, *also: str, **options: Any) -> AsyncIterator[ForeignClient]:
    """A client that writes and reads, some topics besides; the options are its producer's."""
    hosts = servers.replace(";", ",")  # aiokafka wants commas where POSSTREAM_BROKER has semicolons
    producer = aiokafka.AIOKafkaProducer(
        bootstrap_servers=hosts, acks="all", linger_ms=5, **options
    )
    consumer = aiokafka.AIOKafkaConsumer(
        bootstrap_servers=hosts,
        group_id=None,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=100,
        max_partition_fetch_bytes=4 * 1024 * 1024,
    )
    await producer.start()
    await consumer.start()
    try:
        names = (
            topics.CUSTOMER_DATA_FETCHED,
            topics.CUSTOMER_LOOKUP_FAILED,
            topics.CUSTOMER_LOOKUP_LOGGED,
            topics.DEAD_LETTERS,
            *also,
        )
        partitions = [
            aiokafka.TopicPartition(name, number)
            for name in names
            for number in await producer.partitions_for(name)
        ]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        yield ForeignClient(producer, consumer)
    finally:
        await consumer.stop()
        with contextlib.suppress(TimeoutError):  # after a failure brokers may be away
            await asyncio.wait_for(producer.stop(), 30)


@dataclass(frozen=True)
class Scan:
    """One event of a till, and the id under which its answer will come."""

    event_id: str
    basket_id: str
    identifier: str

    @property
    def lookup_id(self) -> str:
        return derived(self.event_id)

    deadline_ms: int | None = None
    occurred_at: str | None = None

    @property
    def value(self) -> bytes:
        return orjson.dumps(
            {
                "event_id": self.event_id,
                "basket_id": self.basket_id,
                "customer_identifier": self.identifier,
                "deadline_ms": self.deadline_ms,
                "occurred_at": self.occurred_at,
            }
        )


class Tally:
    """The terminal answers that a client has seen, by lookup id, each record read once."""

    def __init__(self, client: ForeignClient) -> None:
        self.answers: dict[str, list[dict[str, Any]]] = {}
        #: Lookup ids in the order in which their answers were seen.
        self.order: list[str] = []
        self._client = client
        self._read = 0

    async def all_of(self, scans: Sequence[Scan], seconds: float = 60) -> list[dict[str, Any]]:
        """Wait for all of them; one answer each, in the order of the scans."""
        wanted = {scan.lookup_id for scan in scans}
        await self._client.read_until(lambda _: wanted <= self._known(), seconds)
        for scan in scans:
            assert len(self.answers[scan.lookup_id]) == 1, "answered twice"
        return [self.answers[scan.lookup_id][0] for scan in scans]

    async def count(self, number: int, scans: Sequence[Scan], seconds: float = 60) -> None:
        """Wait until so many of them are answered."""
        wanted = {scan.lookup_id for scan in scans}
        await self._client.read_until(lambda _: len(wanted & self._known()) >= number, seconds)

    def _known(self) -> set[str]:
        records = self._client.seen.records
        for record in records[self._read :]:
            if record.topic in (topics.CUSTOMER_DATA_FETCHED, topics.CUSTOMER_LOOKUP_FAILED):
                value = orjson.loads(record.value)
                self.answers.setdefault(value["lookup_id"], []).append(value)
                self.order.append(value["lookup_id"])
        self._read = len(records)
        return set(self.answers)


def mixed_scans(count: int, distinct: int, tag: str) -> list[Scan]:
    """Scans of phones, e-mails and cards, in turns."""
    made = []
    for number in range(count):
        who = number % distinct
        identifier = (f"+49{tag}{who:04}", f"user{who}@{tag}.example", f"CARD_{tag}_{who}")[who % 3]
        made.append(Scan(str(uuid.uuid4()), f"basket-{tag}-{number}", identifier))
    return made


async def send_with_header(
    client: ForeignClient, topic: str, value: bytes, name: bytes, *, partition: int
) -> None:
    """Send a record whose header has any bytes for a name, as librdkafka lets one."""
    batch = client.producer.create_batch()
    batch.append(key=None, value=value, timestamp=None, headers=[("?" * len(name), b"x")])
    raw = batch._build()
    at = raw.index(b"?" * len(name))
    raw[at : at + len(name)] = name
    struct.pack_into(">I", raw, 17, calc_crc32c(bytes(raw[21:])))
    await (await client.producer.send_batch(batch, topic, partition=partition))


async def produce(client: ForeignClient, scans: Sequence[Scan]) -> None:
    """Send scans keyed by identifier, by basket and not at all, in turns."""
    waiting = []
    for number, scan in enumerate(scans):
        key = (scan.identifier.encode(), scan.basket_id.encode(), None)[number % 3]
        sent = await client.producer.send(topics.CUSTOMER_IDENTIFIED, scan.value, key=key)
        waiting.append(sent)
    await asyncio.gather(*waiting)
