"""`python -m benchmarks.observer …`: when each event, or its answer, was seen by a foreign client.

Says `ready` when it would see the next one. Prints how many came, and percentiles of the
milliseconds since the moment in the basket, without the first part of the run.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import orjson
from confluent_kafka import Consumer, TopicPartition

from benchmarks.connecting import by_librdkafka
from benchmarks.pacing import stamp
from benchmarks.stage import Stage
from benchmarks.windows import percentile

#: Of a run's time, its start: connections, caches, the first fetches.
_SKIPPED: Final = 0.15
#: Without a record for so long nothing more will come.
_SILENCE_SECONDS: Final = 5
_START_SECONDS: Final = 30
#: Records that are taken at once.
_MOST: Final = 500


@dataclass(frozen=True, slots=True)
class Seen:
    """What an observer saw of one run, in milliseconds."""

    count: int
    p50_ms: float
    p99_ms: float
    most_ms: float
    #: How long after the moment of the last event the last one came: the backlog at the end.
    behind_ms: float


class Observer:
    """A process that reads a topic to its end, and on."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    def seen(self) -> Seen:
        """Wait until it has seen everything, or nothing comes any more.

        Raises:
            RuntimeError: if nothing came at all.
        """
        assert self._process.stdout is not None
        found = self._process.stdout.read()
        if self._process.wait() or not found.strip():
            raise RuntimeError("the observer saw nothing")
        return Seen(**orjson.loads(found))


@contextmanager
def observing(stage: Stage, topic: str, *, tag: str, count: int) -> Iterator[Observer]:
    """Somebody who reads what comes to a topic from now on."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "benchmarks.observer", "--servers", stage.servers),
            *("--topic", topic, "--tag", tag, "--count", str(count)),
        ],
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        process.stdout.readline()
        yield Observer(process)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("servers", "topic", "tag"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--count", type=int, required=True)
    it = parser.parse_args()
    consumer = Consumer(
        {
            **by_librdkafka(it.servers),
            "group.id": "benchmarks-observer",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 100,
        }
    )
    known = consumer.list_topics(it.topic, timeout=_START_SECONDS).topics[it.topic]
    _go_to_ends(consumer, [TopicPartition(it.topic, number) for number in known.partitions])
    print("ready", flush=True)
    moments = _read(consumer, it.tag.encode(), it.count)
    print(orjson.dumps(_judged(moments)).decode())


def _go_to_ends(consumer: Consumer, partitions: list[TopicPartition]) -> None:
    for it in partitions:
        it.offset = consumer.get_watermark_offsets(it, timeout=_START_SECONDS)[1]
    consumer.assign(partitions)
    at_end: set[int] = set()
    while len(at_end) < len(partitions):
        message = consumer.poll(1.0)
        if message is not None:  # nobody writes yet: it is an end
            at_end.add(message.partition())


def _read(consumer: Consumer, tag: bytes, count: int) -> dict[int, int]:
    """When each event was first seen, by the moment at which it was due."""
    moments: dict[int, int] = {}
    heard_at = time.monotonic()
    while len(moments) < count:
        first = consumer.poll(0.5)
        now = time.monotonic_ns()
        # Those that came with the first one, if any did.
        for message in [] if first is None else [first, *consumer.consume(_MOST, timeout=0)]:
            if message.error() is None:
                due = stamp(message.key() or b"", tag) or stamp(message.value() or b"", tag)
                if due is not None:
                    moments.setdefault(due, now)
                    heard_at = now / 1e9
        if now / 1e9 - heard_at > _SILENCE_SECONDS and moments:
            break
    return moments


def _judged(moments: Mapping[int, int]) -> dict[str, Any]:
    first, last = min(moments), max(moments)
    begin = first + (last - first) * _SKIPPED
    taken = sorted((seen - due) / 1e6 for due, seen in moments.items() if due >= begin)
    return {
        "count": len(moments),
        "p50_ms": percentile(taken, 0.5),
        "p99_ms": percentile(taken, 0.99),
        "most_ms": taken[-1],
        "behind_ms": (max(moments.values()) - last) / 1e6,
    }


if __name__ == "__main__":
    _main()
