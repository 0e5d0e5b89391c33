"""The events of the benchmarks: who is asked for in each, and writing many of them fast.

Everything about an event follows from its number, so whoever reads the answers can judge them.
"""

import time
from collections.abc import Iterable, Iterator
from typing import Final

from confluent_kafka import Producer

from benchmarks.cache_entries import document, identifier
from benchmarks.connecting import by_librdkafka
from benchmarks.contestants.answers import Headers
from posstream.domain.times import iso_utc_ms

_EVENT: Final = (
    b'{"event_id":"%b-0000-4000-8000-%012x","event_type":"CUSTOMER_IDENTIFIED",'
    b'"occurred_at":"%b","basket_id":"%b","customer_identifier":"%b",'
    b'"employee_id":17,"terminal_id":"till-4"}'
)
_PATIENCE_SECONDS: Final = 120

#: Key and value of a record, and headers if it has any.
Event = tuple[bytes, bytes] | tuple[bytes, bytes, Headers]


def basket(tag: int, number: int) -> bytes:
    """The basket of one event, and the key of its answer."""
    return b"basket-%04x%08x" % (tag, number)


def number_of(basket_id: bytes) -> int:
    """The number of the event that a basket is from."""
    return int(basket_id[-8:], 16)


def cold(tag: int, number: int) -> str:
    """An identifier that nobody has seen."""
    return f"CARD_C{tag:04X}{number:08X}"


def scans(identifiers: Iterable[str], *, tag: int) -> Iterator[tuple[bytes, bytes]]:
    """Key and value of events that ask for these, under their identifiers."""
    prefix = b"%08x" % tag
    occurred_at = iso_utc_ms(time.time_ns() // 1_000_000).encode()
    for number, who in enumerate(identifiers):
        key = who.encode()
        yield key, _EVENT % (prefix, number, occurred_at, basket(tag, number), key)


def warm_up(customers: int) -> Iterator[tuple[bytes, bytes]]:
    """Events that tell of every customer, for those whose state is made of events."""
    for number in range(customers):
        key = identifier(number).encode()
        value = b'{"basket_id":"told-%d","customer_identifier":"%b","customer":%b}' % (
            number,
            key,
            document(number),
        )
        yield key, value


class Writer:
    """Writes events, each to the partition of its key as Kafka's own clients choose it."""

    def __init__(self, servers: str) -> None:
        self._producer = Producer(
            {
                **by_librdkafka(servers),
                "partitioner": "murmur2_random",
                "acks": "all",
                "linger.ms": 20,
                "batch.num.messages": 50_000,
                "batch.size": 512 * 1024,
                "queue.buffering.max.messages": 200_000,
            }
        )

    def write(self, topic: str, events: Iterable[Event]) -> None:
        """Write them all.

        Raises:
            RuntimeError: if the broker did not take them.
        """
        for key, value, *headers in events:
            while True:
                try:
                    self._producer.produce(topic, value, key, headers=headers[0] if headers else [])
                    break
                except BufferError:
                    self._producer.poll(0.1)
        left = self._producer.flush(_PATIENCE_SECONDS)
        if left:
            raise RuntimeError(f"{left} events were not taken by the broker")


def write(servers: str, topic: str, events: Iterable[Event]) -> None:
    """Write events once.

    Raises:
        RuntimeError: if the broker did not take them.
    """
    Writer(servers).write(topic, events)
