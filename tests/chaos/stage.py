"""The surroundings of one scenario: brokers, a database, a directory, workers and a till."""

import asyncio
import contextlib
import math
import random
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiokafka.errors import KafkaError

from agents.customer_lookup import topics
from posstream.settings import PARTITIONS
from tests.chaos.ledger import Count, Ledger, missing_rows
from tests.integration.directory import Directory
from tests.integration.harness import ForeignClient, Scan, Worker, foreign_client
from tests.servers import kafka, postgres

#: How long a scenario waits for the last answer, and for the last row.
SETTLE_SECONDS = 90
#: Time for an answer that must not come: a second one.
QUIET_SECONDS = 2
#: A dead worker's partitions go to another after this; 30 in production.
SESSION_SECONDS = 6


class Till:
    """A foreign client that scans customers and keeps a ledger."""

    def __init__(self, client: ForeignClient, ledger: Ledger, chance: random.Random) -> None:
        self.client = client
        self.ledger = ledger
        self._chance = chance
        self._number = 0

    def scans(self, count: int, customers: int | None = None, **fields: Any) -> list[Scan]:
        """New scans of so many customers in turns; by default each of another customer."""
        return [self._scan(number % (customers or count), fields) for number in range(count)]

    async def send(self, scans: Sequence[Scan], **options: Any) -> None:
        """Send them all; they are in the ledger once the broker has them."""
        await asyncio.gather(*[self._send(scan, options) for scan in scans])

    @contextlib.asynccontextmanager
    async def keeps_scanning(
        self, per_second: int = 50, customers: int = 200
    ) -> AsyncIterator[None]:
        """Scans come in one after the other while the block runs."""
        sending: set[asyncio.Task[None]] = set()

        async def scan_on() -> None:
            while True:
                sending.add(
                    asyncio.ensure_future(
                        self.send([self._scan(self._chance.randrange(customers), {})])
                    )
                )
                await asyncio.sleep(self._chance.expovariate(per_second))

        task = asyncio.ensure_future(scan_on())
        try:
            yield
        except BaseException:
            task.cancel()
            for scan in sending:  # brokers may be away, and a till tries for ever
                scan.cancel()
            raise
        task.cancel()
        await asyncio.gather(*sending)

    async def answers(self, count: int, seconds: float = SETTLE_SECONDS) -> None:
        """Wait until so many of all scans are answered."""
        sent = self.ledger.sent
        await self.client.read_until(
            lambda seen: len(sent) - len(self.ledger.unanswered(seen)) >= count, seconds
        )

    def _scan(self, customer: int, fields: dict[str, Any]) -> Scan:
        self._number += 1
        who = self._chance.randrange(200) if customer < 0 else customer
        identifier = (f"+4930{who:06}", f"user{who}@shop.example", f"CARD_{who:06}")[who % 3]
        event_id = str(uuid.UUID(int=self._chance.getrandbits(128), version=4))
        return Scan(event_id, f"basket-{self._number}", identifier, **fields)

    async def _send(self, scan: Scan, options: dict[str, Any]) -> None:
        keys = (scan.identifier.encode(), scan.basket_id.encode(), None)
        at = self.ledger.write(scan)
        given = {"key": self._chance.choice(keys), **options}
        while True:
            with contextlib.suppress(KafkaError):  # what a till does: it tries again
                await self.client.producer.send_and_wait(
                    topics.CUSTOMER_IDENTIFIED, scan.value, **given
                )
                break
            await asyncio.sleep(0.2)
        self.ledger.acknowledged(scan, at)


@dataclass
class Stage:
    """One scenario's surroundings. The first worker makes the topics."""

    cluster: kafka.Cluster
    database: postgres.Server
    database_url: str
    directory: Directory
    folder: Path
    seed: int
    workers: list[Worker] = field(default_factory=list)
    started_at: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)

    @property
    def servers(self) -> str:
        return ",".join(self.cluster.servers)

    def worker(self, **settings: object) -> Worker:
        """A worker of this scenario, not started yet."""
        made = Worker(
            ";".join(self.cluster.servers),
            self.folder / f"worker-{len(self.workers)}",
            **{
                "api_endpoint": self.directory.endpoint,
                "database_url": self.database_url,
                "session_timeout_seconds": SESSION_SECONDS,
                "topic_partitions": PARTITIONS,
                "topic_replication": min(3, len(self.cluster.nodes)),
                **settings,
            },
        )
        self.workers.append(made)
        return made

    async def started(self, count: int = 1, **settings: object) -> list[Worker]:
        """So many workers, started one after the other and ready."""
        made = []
        for _ in range(count):
            worker = self.worker(**settings)
            worker.start()
            await worker.ready()
            made.append(worker)
        return made

    @contextlib.asynccontextmanager
    async def till(self, *also: str) -> AsyncIterator[Till]:
        """A till whose ledger lies in the scenario's folder; it reads some topics besides.

        Its producer writes nothing twice and notices a frozen broker, so what comes twice or late
        is posstream's.
        """
        once = {"enable_idempotence": True, "request_timeout_ms": 10_000}
        async with foreign_client(self.servers, *also, **once) as client:
            # A batch that was given up would leave a gap, and no later one would be taken.
            client.producer._message_accumulator._batch_ttl = math.inf
            with contextlib.closing(Ledger(self.folder / "ledger.jsonl")) as ledger:
                yield Till(client, ledger, self.chance)

    async def settle(self, till: Till, seconds: float = SETTLE_SECONDS) -> Count:
        """Wait for every answer and its row as long as it may take, and count."""
        with contextlib.suppress(AssertionError):
            await till.client.read_until(lambda seen: not till.ledger.unanswered(seen), seconds)
        await till.client.read_for(QUIET_SECONDS)
        give_up_at = time.monotonic() + seconds
        while missing := await missing_rows(till.client.seen, self.database_url):
            if time.monotonic() > give_up_at:
                break
            await till.client.read_for(0.5)
        return till.ledger.count(till.client.seen, self.directory, missing)
