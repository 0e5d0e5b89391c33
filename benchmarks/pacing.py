"""`python -m benchmarks.pacing …`: a till that never waits, with the moment of each event in it.

The load is open: an event leaves when its time has come, whatever became of those before it, and
its answer is late by all the time since then. The moment is in the basket, in nanoseconds of this
machine's monotonic clock, which all its processes share. The number is hexadecimal: so many decimal
digits could be a payment card's, and posstream would check them for longer than a usual basket id.

What a till says is a scan, or with `--payments` mostly an item: one event in ten is a payment that
raises an alert, and only this one has its moment in its basket.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Final

import orjson
from confluent_kafka import Producer

from benchmarks.cache_entries import identifier
from benchmarks.choice import asked_for
from benchmarks.connecting import by_librdkafka
from benchmarks.stage import Stage
from posstream.domain.times import iso_utc_ms

_EVENT: Final = (
    b'{"event_id":"%b-0000-4000-8000-%012x","event_type":"CUSTOMER_IDENTIFIED",'
    b'"occurred_at":"%b","basket_id":"paced-%b-x%x","customer_identifier":"%b"}'
)
_SOLD: Final = (
    b'{"event_id":"%b-%x","event_type":"%b","occurred_at":"%b","basket_id":"%b",'
    b'"terminal_id":"paid-at-%x","employee_id":"paid-to-%x",%b}'
)
_PAYMENT: Final = b'"amount":"1000.00","currency":"EUR"'
_ITEM: Final = b'"product_id":"product-%x","unit_price":"9.99"'
#: One event in so many is a payment.
ONE_PAYMENT_IN: Final = 10
_TILLS: Final = 20
#: Before the first event: everybody is there by then.
_LEAD_NS: Final = 100_000_000
#: As librdkafka has it: with less, its own small requests would be what is measured.
_LINGER_MS: Final = 5
#: The shortest sleep: one before every single event would take CPU time from the worker.
_LEAST_SLEEP_NS: Final = 1_000_000
#: Key and value of an event, by its number and its moment.
Said = Callable[[int, int], tuple[bytes, bytes]]


def stamp(text: bytes, tag: bytes) -> int | None:
    """The moment in a basket, wherever it is in the text; None if it is of another run."""
    _, found, rest = text.partition(b"paced-%b-x" % tag)
    if not found:
        return None
    return int(rest[: rest.find(b'"')] if b'"' in rest else rest, 16)


def pace(  # noqa: PLR0913 - a load is all of this
    stage: Stage,
    topic: str,
    *,
    rate: float,
    count: int,
    tag: str,
    customers: int = 0,
    payments: bool = False,
) -> float:
    """Write events at a rate; by how many milliseconds the latest one left too late.

    Args:
        stage: where to.
        topic: the topic.
        rate: events a second.
        count: how many.
        tag: the run's; see `stamp`.
        customers: of whom the scans are.
        payments: not scans, but items and payments.
    """
    command = [
        *(sys.executable, "-m", "benchmarks.pacing", "--servers", stage.servers),
        *("--topic", topic, "--rate", str(rate), "--count", str(count), "--tag", tag),
        *("--customers", str(customers)),
        *(["--payments"] if payments else []),
    ]
    done = subprocess.run(command, check=True, capture_output=True)
    return float(orjson.loads(done.stdout)["late_ms"])


def _main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("servers", "topic", "tag"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--rate", type=float, required=True)
    for name in ("count", "customers"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--payments", action="store_true")
    it = parser.parse_args()
    tag = it.tag.encode()
    said = _sold(tag) if it.payments else _scanned(tag, it.customers)
    producer = Producer(
        {
            **by_librdkafka(it.servers),
            "partitioner": "murmur2_random",
            "linger.ms": _LINGER_MS,
            "queue.buffering.max.messages": 1_000_000,
        }
    )
    producer.list_topics(it.topic)
    late_ns = _write(producer, it.topic, said, it.rate, it.count)
    producer.flush()
    print(orjson.dumps({"late_ms": late_ns / 1e6}).decode())


def _scanned(tag: bytes, customers: int) -> Said:
    occurred_at = iso_utc_ms(time.time_ns() // 1_000_000).encode()

    def said(number: int, due: int) -> tuple[bytes, bytes]:
        who = identifier(asked_for(number, customers)).encode()
        return who, _EVENT % (tag, number, occurred_at, tag, due, who)

    return said


def _sold(tag: bytes) -> Said:
    def said(number: int, due: int) -> tuple[bytes, bytes]:
        is_payment = number % ONE_PAYMENT_IN == 0
        event_type = b"PAYMENT_COMPLETED" if is_payment else b"ITEM_ADDED"
        basket = b"paced-%b-x%x" % (tag, due) if is_payment else b"sold-%b-%x" % (tag, number)
        what = _PAYMENT if is_payment else _ITEM % number
        occurred_at = iso_utc_ms(time.time_ns() // 1_000_000).encode()
        at, to = number % _TILLS, number % (2 * _TILLS)
        return basket, _SOLD % (tag, number, event_type, occurred_at, basket, at, to, what)

    return said


def _write(producer: Producer, topic: str, said: Said, rate: float, count: int) -> int:
    interval_ns = 1e9 / rate
    start = time.monotonic_ns() + _LEAD_NS
    late_ns = 0
    for number in range(count):
        due = start + int(number * interval_ns)
        key, value = said(number, due)
        while (now := time.monotonic_ns()) < due:
            producer.poll(0)
            time.sleep(max(due - now, _LEAST_SLEEP_NS) / 1e9)
        late_ns = max(late_ns, now - due)
        producer.produce(topic, value, key)
    return late_ns


if __name__ == "__main__":
    _main()
