"""`python -m benchmarks.recovery [ENTRIES …] [--json FILE]`: how fast a worker has its cache again.

Apache Kafka on loopback, real worker processes. For each size of the cache: the time from the
start of a process to `/health/ready` with an empty data directory, with its own one after a
SIGTERM, and after kill -9; the fail-over to a second worker with standby tables; memory and disk
per entry. Then it compares, entry by entry, the cache that was lost with the one rebuilt from the
changelog. An empty cache is measured first, as the control. Nothing here asserts a time.
"""

import argparse
import asyncio
import hashlib
import os
import re
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from heapq import merge
from pathlib import Path
from typing import Any, Final

import aiohttp
import orjson
import rocksdict

from agents.customer_lookup import topics
from benchmarks.cache_entries import fill, identifier
from benchmarks.conditions import conditions
from benchmarks.progress import say
from posstream.settings import PARTITIONS
from posstream.streaming.patches.store import NO_ENTRIES
from tables.cache_spec import CACHE_TABLE
from tables.partitioned import home
from tests.integration.harness import ForeignClient, Scan, Tally, Worker, foreign_client
from tests.servers import kafka

SIZES: Final = (10_000, 100_000, 1_000_000)
#: The mock makes up a customer for any identifier.
_API_QUERY: Final = "?generate=1"
#: Entries that a worker writes and drops itself, besides those that are filled in.
_USED, _EVICTED = 200, 20
_PATIENCE_SECONDS: Final = 1800
_POLL_SECONDS: Final = 0.05
#: Faust writes what a standby reads in batches of so many, and keeps the rest in memory.
_STANDBY_BATCH: Final = 1000
#: The log level of the workers: above it they leave out Faust's lines about the changelog.
TELLS_OF_REPLAYS: Final = "debug"
_REPLAY = re.compile(r"^(\S+) .*(?:Restoring state|Done reading) from changelog")


@dataclass(frozen=True)
class Start:
    """One start of a worker."""

    #: From the start of the process to ready.
    seconds: float
    #: Of them, reading the changelog; 0 if there was nothing to read.
    replay_seconds: float
    #: Resident memory of the ready worker.
    rss_bytes: int


@dataclass(frozen=True)
class Measured:
    """One size of the cache."""

    entries: int
    empty: Start
    warm: Start
    killed: Start
    #: From kill -9 to the answers of one event for each partition, by the other worker.
    failover_seconds: float
    disk_bytes: int
    #: The caches of all starts, and the other worker's, equal the first one.
    rebuilt_equals_lost: bool


# The stores of a stopped worker.


def store_folders(datadir: Path) -> list[Path]:
    """The RocksDB folder of each partition."""
    return sorted(datadir.glob(f"tables/**/{CACHE_TABLE}-*.db"))


def opened(folder: Path) -> rocksdict.Rdict:
    """One store, to read; that works beside a running worker, too."""
    options, access = rocksdict.Options(raw_mode=True), rocksdict.AccessType.read_only()
    return rocksdict.Rdict(str(folder), options, access_type=access)


def pairs(folder: Path) -> Iterator[tuple[bytes, bytes]]:
    """The entries of one store in the order of keys."""
    for key, value in opened(folder).items():
        if key not in NO_ENTRIES:
            yield key, value


def fingerprint(folders: Sequence[Path]) -> tuple[int, str]:
    """How many entries there are, and a hash over all of them in the order of keys."""
    count, digest = 0, hashlib.sha256()
    for key, value in merge(*(pairs(folder) for folder in folders)):
        count += 1
        for part in (key, value):
            digest.update(len(part).to_bytes(4))
            digest.update(part)
    return count, digest.hexdigest()


def estimated(folders: Sequence[Path]) -> int:
    """About how many entries there are, without reading them."""
    name = "rocksdb.estimate-num-keys"
    return sum(int(opened(folder).property_int_value(name) or 0) for folder in folders)


def disk_bytes(folders: Sequence[Path]) -> int:
    """What the stores take on disk."""
    files = (file for folder in folders for file in folder.rglob("*") if file.is_file())
    return sum(file.stat().st_blocks * 512 for file in files)


def replay_seconds(log: str) -> float:
    """Seconds from the first to the last line about changelogs in the log of one start."""
    told = [
        datetime.fromisoformat(found[1])
        for line in log.splitlines()
        if (found := _REPLAY.match(line))
    ]
    return (told[-1] - told[0]).total_seconds() if told else 0.0


# What is done to a cluster.


async def started(worker: Worker) -> Start:
    """Start a worker and wait until it is ready."""
    at_log = len(worker.log) if worker.log_file.exists() else 0
    at = time.monotonic()
    worker.start()
    async with aiohttp.ClientSession() as http:
        while not await _is_ready(http, worker):
            if not worker.running or time.monotonic() > at + _PATIENCE_SECONDS:
                raise SystemExit(f"the worker did not become ready: {worker.log[-3000:]}")
            await asyncio.sleep(_POLL_SECONDS)
    seconds = time.monotonic() - at
    return Start(seconds, replay_seconds(worker.log[at_log:]), worker.rss_bytes)


async def _is_ready(http: aiohttp.ClientSession, worker: Worker) -> bool:
    try:
        async with http.get(f"{worker.url}/health/ready") as response:
            return response.ok
    except aiohttp.ClientError:
        return False


async def use(client: ForeignClient, worker: Worker, entries: int) -> None:
    """Let a worker write entries of its own and drop some: they must be rebuilt as well."""
    scans = [scan(f"CARD_U{uuid.uuid4().hex}") for _ in range(_USED)]
    await ask(client, [*scans, *one_for_each_partition(entries)], seconds=60)
    for one in scans[:_EVICTED]:
        await worker.graphql(
            "mutation ($it: String) { evictCustomer(identifier: $it) { success } }",
            it=one.identifier,
        )
    give_up_at = time.monotonic() + 30
    while await worker.metric("posstream_cache_removed_total", why="evicted") < _EVICTED:
        if time.monotonic() > give_up_at:
            raise SystemExit("the worker did not evict")
        await asyncio.sleep(0.1)


def scan(who: str) -> Scan:
    """One event of a till."""
    return Scan(str(uuid.uuid4()), f"basket-{uuid.uuid4().hex[:12]}", who)


def one_for_each_partition(entries: int) -> list[Scan]:
    """Events for filled-in customers (of an empty cache: for unknown ones), one a partition."""
    found: dict[int, str] = {}
    number = 0
    while len(found) < PARTITIONS:
        who = identifier(number) if number < entries else f"CARD_F{number}"
        found.setdefault(home(who, PARTITIONS), who)
        number += 1
    return [scan(who) for who in found.values()]


async def ask(client: ForeignClient, scans: Sequence[Scan], *, seconds: float) -> list[Any]:
    """Send events under their identifiers and wait for the answers."""
    for one in scans:
        key = one.identifier.encode()
        await client.producer.send_and_wait(topics.CUSTOMER_IDENTIFIED, one.value, key=key)
    return await Tally(client).all_of(scans, seconds)


async def caught_up(worker: Worker, entries: int) -> None:
    """Wait until the stores of a running worker, standbys too, have the entries."""
    give_up_at = time.monotonic() + _PATIENCE_SECONDS
    while entries - estimated(store_folders(worker.datadir)) > _STANDBY_BATCH:
        if time.monotonic() > give_up_at:
            raise SystemExit("the standby tables did not fill up")
        await asyncio.sleep(0.5)


async def failover(servers: str, one: Worker, other: Worker, entries: int) -> float:
    """Kill one of two ready workers; seconds until the other answers for every partition."""
    async with foreign_client(servers) as client:
        # Both are at work, and what is asked below is not the first of its kind.
        await ask(client, one_for_each_partition(entries), seconds=60)
        one.kill()
        at = time.monotonic()
        answers = await ask(client, one_for_each_partition(entries), seconds=_PATIENCE_SECONDS)
        seconds = time.monotonic() - at
    sources = {answer.get("source") for answer in answers}
    if sources != {"CACHE"}:
        raise SystemExit(f"the entries were not taken for the cache's: {sources}")
    if not other.running:
        raise SystemExit("the other worker died")
    return seconds


async def measure(servers: str, folder: Path, entries: int) -> Measured:
    """All of it for a changelog that is filled."""
    one, other = (
        Worker(
            servers,
            folder / name,
            api_query=_API_QUERY,
            log_level=TELLS_OF_REPLAYS,
            topic_partitions=PARTITIONS,
        )
        for name in ("one", "other")
    )
    try:
        say(f"{entries} entries: start with an empty data directory")
        empty = await started(one)
        async with foreign_client(servers) as client:
            await use(client, one, entries)
        one.stop()
        lost = fingerprint(store_folders(one.datadir))
        disk = disk_bytes(store_folders(one.datadir))
        say(f"{entries} entries: start after SIGTERM ({empty.seconds:.1f} s when empty)")
        warm = await started(one)
        one.kill()
        say(f"{entries} entries: start after kill -9 ({warm.seconds:.1f} s after SIGTERM)")
        killed = await started(one)
        say(f"{entries} entries: fail-over ({killed.seconds:.1f} s after kill -9)")
        await started(other)
        for worker in (one, other):
            await caught_up(worker, lost[0])
        seconds = await failover(servers, one, other, entries)
        other.stop()
        say(f"{entries} entries: fail-over took {seconds:.1f} s; comparing the caches")
        rebuilt = [fingerprint(store_folders(worker.datadir)) for worker in (one, other)]
        return Measured(entries, empty, warm, killed, seconds, disk, rebuilt == [lost, lost])
    finally:
        for worker in (one, other):
            if worker.running:
                worker.kill()


async def run(servers: str, folder: Path, sizes: Sequence[int]) -> list[Measured]:
    """Measure the control and each size, on one Kafka that is filled up."""
    say("first start: the topics are made")
    first = Worker(servers, folder / "first", api_query=_API_QUERY, topic_partitions=PARTITIONS)
    await started(first)
    first.stop()
    measured = []
    filled = 0
    for entries in (0, *sizes):
        await fill(servers, filled, entries)
        filled = entries
        measured.append(await measure(servers, folder / str(entries), entries))
    return measured


# What is printed.


def table(measured: Sequence[Measured]) -> str:
    """One Markdown table; the first one measured is the control."""
    control = measured[0]
    head = (
        "entries",
        "empty directory, s",
        "of it replay, s",
        "x control",
        "after SIGTERM, s",
        "after kill -9, s",
        "fail-over, s",
        "memory, bytes an entry",
        "disk, bytes an entry",
        "rebuilt = lost",
    )
    rows = [head, ("---:",) * len(head)]
    for it in measured:
        per = max(1, it.entries)
        each = it.entries > 0
        rows.append(
            (
                f"{it.entries:,}",
                f"{it.empty.seconds:.1f}",
                f"{it.empty.replay_seconds:.1f}",
                f"{it.empty.seconds / control.empty.seconds:.1f}",
                f"{it.warm.seconds:.1f}",
                f"{it.killed.seconds:.1f}",
                f"{it.failover_seconds:.1f}",
                f"{(it.warm.rss_bytes - control.warm.rss_bytes) / per:.0f}" if each else "",
                f"{(it.disk_bytes - control.disk_bytes) / per:.0f}" if each else "",
                "yes" if it.rebuilt_equals_lost else "NO",
            )
        )
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main(arguments: Sequence[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recovery")
    parser.add_argument("entries", nargs="*", type=int, default=SIZES, help="ascending sizes")
    parser.add_argument("--json", type=Path, help="write everything that was measured there")
    options = parser.parse_args(arguments)
    sizes = sorted(set(options.entries) - {0})
    lacking = kafka.lacking()
    if lacking is not None:
        print(f"skip: {lacking}", file=sys.stderr)
        return 1 if os.environ.get("CI") else 0
    with kafka.running() as broker, tempfile.TemporaryDirectory(prefix="posstream-bench-") as made:
        measured = asyncio.run(run(broker.removeprefix("kafka://"), Path(made), sizes))
    about = conditions()
    print(
        ", ".join(f"{name} {value}" for name, value in about.items()), table(measured), sep="\n\n"
    )
    if options.json is not None:
        found = {"conditions": about, "measured": [asdict(it) for it in measured]}
        options.json.write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2))
    return 0 if all(it.rebuilt_equals_lost for it in measured) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
