"""Recovery: a worker with an empty data directory reads its cache from the changelog."""

import asyncio
import time
from dataclasses import asdict
from typing import Any, Final

import aiokafka

from benchmarks.connecting import by_aiokafka, worker_settings
from benchmarks.figures import Bar, bars, figure, ratios, table
from benchmarks.posstream_worker import Posstream
from benchmarks.progress import say
from benchmarks.recovery import TELLS_OF_REPLAYS, Start, started
from benchmarks.setting import Setting
from benchmarks.stage import Stage, stage, total
from posstream.settings import PARTITIONS
from tables.cache_spec import CACHE_CHANGELOG
from tests.integration.harness import Worker

ENTRIES: Final = 100_000
#: Seconds within which a worker with its data should be ready again.
_AGAIN_SECONDS: Final = 3


def measure(setting: Setting) -> dict[str, Any]:
    """Starts without data and with it, and a plain reader of the same changelog, in turns.

    Returns:
        The entries, the starts, and the seconds in which the reader puts them into a dict.
    """
    starts: list[Start] = []
    warm: list[Start] = []
    plain: list[float] = []
    with stage(setting.folder / "recovery", embedded=setting.embedded) as on:
        Posstream(on).prepare(ENTRIES)
        for number in range(1, setting.rounds + 1):
            worker = Worker(
                on.servers.replace(",", ";"),
                on.new_folder("recovery"),
                topic_partitions=PARTITIONS,
                log_level=TELLS_OF_REPLAYS,
                **worker_settings(),
            )
            starts.append(asyncio.run(started(worker)))
            worker.stop()
            warm.append(asyncio.run(started(worker)))
            worker.stop()
            plain.append(asyncio.run(_read(on)))
            say(
                f"round {number} of {setting.rounds}: {ENTRIES} entries, ready after "
                f"{starts[-1].seconds:.1f} s, of it {starts[-1].replay_seconds:.2f} s of reading, "
                f"again after {warm[-1].seconds:.1f} s; "
                f"a plain reader {plain[-1]:.2f} s"
            )
        broker = on.broker
    return {
        "broker": broker,
        "entries": ENTRIES,
        "starts": [asdict(it) for it in starts],
        "warm": [asdict(it) for it in warm],
        "plain_seconds": plain,
    }


async def _read(on: Stage) -> float:
    """Seconds in which aiokafka reads the changelog into a dict."""
    ends = on.ends(CACHE_CHANGELOG)
    count = total(ends)
    consumer = aiokafka.AIOKafkaConsumer(
        **by_aiokafka(on.servers), group_id=None, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        began = time.monotonic()
        consumer.assign([aiokafka.TopicPartition(it.topic, it.partition) for it in ends])
        await consumer.seek_to_beginning()
        entries: dict[bytes, bytes] = {}
        read = 0
        while read < count:
            for records in (await consumer.getmany(timeout_ms=200)).values():
                read += len(records)
                entries |= {record.key: record.value for record in records}
        return time.monotonic() - began
    finally:
        await consumer.stop()


def section(found: dict[str, Any]) -> str:
    """Entries a second, and how long a worker takes until it is ready."""
    entries = found["entries"]
    # The whole start, if the log of the worker did not tell when it read.
    replays = [entries / (it["replay_seconds"] or it["seconds"]) for it in found["starts"]]
    plain = [entries / it for it in found["plain_seconds"]]
    rows = [
        [
            f"{entries:,}",
            figure(replays),
            figure(plain),
            figure(ratios(replays, plain), 2),
            figure([it["seconds"] for it in found["starts"]], 1),
        ]
    ]
    head = ["entries", "posstream, entries/s", "plain reader, entries/s", "ratio", "ready after, s"]
    again = [it["seconds"] for it in found["warm"]]
    bar = Bar("ready again with its data after", _AGAIN_SECONDS, again, at_most=True, unit=" s")
    return table(head, rows) + bars([bar])
