"""Customers that are made up, and the cache filled with them: straight to its changelog."""

import time
import uuid

import aiokafka
import orjson

from benchmarks.connecting import by_aiokafka
from benchmarks.progress import say
from posstream.domain.customer import Customer
from posstream.settings import PARTITIONS
from tables.cache_spec import CACHE_CHANGELOG
from tables.customer_cache import encode
from tables.freshness import CacheEntry
from tables.partitioned import home


def identifier(number: int) -> str:
    """The normalised identifier of a filled-in customer."""
    return f"CARD_R{number}"


def customer_id(number: int) -> str:
    """The id of a filled-in customer."""
    return f"CUST_{uuid.uuid5(uuid.NAMESPACE_OID, str(number))}"


def document(number: int) -> bytes:
    """A customer as a cache entry has one: about 300 bytes, as the mock's are."""
    customer = Customer(
        customer_id=customer_id(number),
        first_name="Erika",
        last_name="Mustermann",
        email=f"erika.mustermann.{number}@example.com",
        phone=f"+49301{number:08}",
        loyalty_points=number % 10_000,
        tier="SILVER",
    )
    return orjson.dumps(customer.as_document())


async def fill(servers: str, first: int, end: int, *, partitions: int = PARTITIONS) -> int:
    """Write entries straight to the changelog, each to its home partition.

    Returns:
        When their customers were fetched, in milliseconds since 1970.
    """
    now_ms = time.time_ns() // 1_000_000
    producer = aiokafka.AIOKafkaProducer(
        **by_aiokafka(servers), acks="all", linger_ms=20, max_batch_size=256 * 1024
    )
    await producer.start()
    try:
        for number in range(first, end):
            who = identifier(number)
            sent = await producer.send(
                CACHE_CHANGELOG,
                encode(CacheEntry(now_ms, document(number))),
                key=who.encode(),
                partition=home(who, partitions),
            )
            if number % 100_000 == 0:
                await sent
                say(f"filling: {number} of {end}")
        await producer.flush()
    finally:
        await producer.stop()
    return now_ms
