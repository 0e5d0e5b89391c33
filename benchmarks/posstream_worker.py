"""posstream itself: real workers, with a cache that is filled before they start."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Final

from confluent_kafka import TopicPartition

from agents.customer_lookup import topics
from benchmarks.cache_entries import fill
from benchmarks.connecting import worker_settings
from benchmarks.known_customers import write_customers
from benchmarks.runs import Watched
from benchmarks.stage import Stage
from posstream.plugins.discovery import SETTING as PLUGINS
from posstream.settings import PARTITIONS
from tests.integration.harness import Worker

#: Its names among the contestants: with all plugins, and without those that no contestant has.
POSSTREAM: Final = "posstream"
ALONE: Final = "posstream: lookups alone"
#: The environment of each.
ENVIRONS: Final[Mapping[str, Mapping[str, str]]] = {
    POSSTREAM: {},
    ALONE: {PLUGINS: "customer_lookup"},
}

#: The mock makes up a customer for any identifier.
_API_QUERY: Final = "?generate=1"
_PATIENCE_SECONDS: Final = 30
#: What a worker logs once its cache is in memory.
_FILLED: Final = "the cache is in memory"
#: How long a million customers may take.
_FILL_SECONDS: Final = 120
#: So that no lookup fails, however long it waits for its turn; nor is anybody asked for twice.
PATIENT: Final = {"timeout_seconds": 60, "deadline_seconds": 300, "retry_attempts": 1}
#: What a run leaves behind, for the projection to read at its next start.
_LEFT_BEHIND: Final = (
    topics.CUSTOMER_IDENTIFIED,
    topics.CUSTOMER_DATA_FETCHED,
    topics.CUSTOMER_LOOKUP_FAILED,
    topics.CUSTOMER_LOOKUP_LOGGED,
)


class Posstream:
    """One worker, or several, on one stage.

    Args:
        stage: its broker; no other posstream runs on it at the same time.
        partitions: of its topics.
        database_url: of its read model; None = a SQLite file.
        environ: more names of its environment.
    """

    def __init__(
        self,
        stage: Stage,
        *,
        partitions: int = PARTITIONS,
        database_url: str | None = None,
        environ: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.stage = stage
        self._partitions = partitions
        self._database_url = database_url or ""
        self._environ = environ
        self._workers: list[Worker] = []
        self._customers = 0
        self._fetched_at_ms = 0

    def worker(self, number: int = 0) -> Worker:
        """One of the workers; it keeps its data directory."""
        while len(self._workers) <= number:
            folder = self.stage.new_folder("posstream")
            made = Worker(
                self.stage.servers.replace(",", ";"),
                folder,
                api_query=_API_QUERY,
                topic_partitions=self._partitions,
                database_url=self._database_url,
                environ=self._environ,
                **worker_settings(),
            )
            self._workers.append(made)
        return self._workers[number]

    def prepare(self, customers: int) -> None:
        """Make the topics, and fill the cache up to so many customers. No worker may run."""
        if not self._customers:
            with self.started():
                pass
        self._fetched_at_ms = asyncio.run(
            fill(self.stage.servers, self._customers, customers, partitions=self._partitions)
        )
        self._customers = customers

    def project_customers(self) -> None:
        """Write the customers of the cache, all filled at once, into the worker's SQLite file."""
        write = write_customers(self.sqlite_url, self._customers, self._fetched_at_ms)
        asyncio.run(write)

    @property
    def sqlite_url(self) -> str:
        """Of the first worker's read model, unless it has a database of its own."""
        return f"sqlite:///{self.worker().datadir}/posstream.sqlite3"

    def rewind(self) -> None:
        """Drop what earlier runs left, so that no run has work of another one. None may run."""
        self.stage.empty(*_LEFT_BEHIND)

    @contextmanager
    def started(
        self, count: int = 1, *, ready: bool = True, filled: bool = False
    ) -> Iterator[list[Worker]]:
        """Workers that are ready, or just started, or have their caches in memory."""
        workers = [self.worker(number) for number in range(count)]
        lines = [it.log.count(_FILLED) if filled and it.starts else 0 for it in workers]
        try:
            for worker in workers:
                worker.start()
            if ready:
                for worker in workers:
                    asyncio.run(worker.ready())
            if filled:
                for worker, before in zip(workers, lines, strict=True):
                    _wait_until_filled(worker, before)
            yield workers
        finally:
            for worker in workers:
                _stop(worker)

    def ends(self) -> list[TopicPartition]:
        """Where the next answers will be."""
        return self.stage.ends(topics.CUSTOMER_DATA_FETCHED)


def configure(worker: Worker, **config: object) -> None:
    """Change the live configuration, and wait until it is in force.

    Raises:
        RuntimeError: if it is not in half a minute.
    """

    async def change() -> None:
        version = await worker.configure(**config)
        give_up_at = time.monotonic() + _PATIENCE_SECONDS
        while await worker.metric("posstream_configuration_version") < version:
            if time.monotonic() > give_up_at:
                raise RuntimeError(f"version {version} is not in force")
            await asyncio.sleep(0.05)

    asyncio.run(change())


@contextmanager
def paused(workers: Sequence[Worker]) -> Iterator[None]:
    """Workers' own processes stand still meanwhile; for less than their session timeout."""
    pids = [worker._process.pid for worker in workers if worker._process]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def watched(workers: Sequence[Worker]) -> Watched:
    """Workers as one contestant."""
    return Watched(
        POSSTREAM,
        lambda: [worker._process.pid for worker in workers if worker._process],
        lambda: all(worker.running for worker in workers),
        lambda: "\n".join(worker.log for worker in workers),
    )


def _wait_until_filled(worker: Worker, lines_before: int) -> None:
    """Wait until a worker has logged once more that its cache is in memory.

    Raises:
        RuntimeError: if it has not within `_FILL_SECONDS`.
    """
    give_up_at = time.monotonic() + _FILL_SECONDS
    while worker.log.count(_FILLED) <= lines_before:
        if time.monotonic() > give_up_at:
            raise RuntimeError(f"the cache was not in memory after {_FILL_SECONDS} s")
        time.sleep(0.1)


def _stop(worker: Worker) -> None:
    if worker.running:
        try:
            worker.stop(60)
        except Exception:
            worker.kill()
            raise
