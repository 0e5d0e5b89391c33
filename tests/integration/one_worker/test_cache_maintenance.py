"""Evictions, news of customers and the sweep, seen from outside on a real worker."""

import asyncio
import contextlib
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiokafka
import orjson
import pytest

from agents.customer_lookup import topics
from posstream.domain.times import iso_utc_ms
from tables.cache_spec import CACHE_CHANGELOG
from tables.customer_cache import decode
from tables.freshness import CacheEntry
from tests.integration.harness import ForeignClient, Scan, Worker, environment, produce

pytestmark = pytest.mark.asyncio(loop_scope="session")

DAY_MS = 86_400_000
EVICT = "mutation {{ evictCustomer({}) {{ success error {{ code message }} }} }}"


class Till:
    """Scans one identifier after the other and waits for each answer."""

    def __init__(self, client: ForeignClient) -> None:
        self.client = client

    async def scan(self, identifier: str) -> dict[str, Any]:
        scan = Scan(str(uuid.uuid4()), "basket-cache", identifier)
        await produce(self.client, [scan])

        def answers() -> list[dict[str, Any]]:
            names = (topics.CUSTOMER_DATA_FETCHED, topics.CUSTOMER_LOOKUP_FAILED)
            return [v for v in self.client.seen.of(*names) if v["lookup_id"] == scan.lookup_id]

        await self.client.read_until(lambda _: bool(answers()), 20)
        return answers()[0]

    async def scan_until(
        self, identifier: str, right: Callable[[dict[str, Any]], bool]
    ) -> dict[str, Any]:
        """Scan again and again until an answer is right: news take their time."""
        give_up_at = time.monotonic() + 20
        while not right(answer := await self.scan(identifier)):
            assert time.monotonic() < give_up_at, answer
        return answer

    async def update(self, **fields: object) -> None:
        """Send news; those of one identifier keep their order."""
        key = fields.get("customer_identifier", fields.get("customer_id"))
        value = orjson.dumps({"event_id": str(uuid.uuid4()), **fields})
        await self.client.producer.send_and_wait(
            topics.CUSTOMER_UPDATED, value, key=str(key).encode()
        )


class Changelog:
    """The records of the cache's changelog: entries and tombstones."""

    def __init__(self, consumer: aiokafka.AIOKafkaConsumer) -> None:
        self._consumer = consumer
        self._entries: dict[str, list[CacheEntry | None]] = {}

    def of(self, identifier: str) -> list[CacheEntry | None]:
        """What was written of an identifier, the newest last; None is a tombstone."""
        return self._entries.get(identifier, [])

    async def read_until(self, identifier: str, count: int) -> list[CacheEntry | None]:
        give_up_at = time.monotonic() + 20
        while len(self.of(identifier)) < count:
            assert time.monotonic() < give_up_at, self.of(identifier)
            for batch in (await self._consumer.getmany(timeout_ms=200)).values():
                for record in batch:
                    entry = None if record.value is None else decode(record.value)
                    self._entries.setdefault(record.key.decode(), []).append(entry)
        return self.of(identifier)


@contextlib.asynccontextmanager
async def changelog_of(servers: str, client: ForeignClient) -> AsyncIterator[Changelog]:
    consumer = aiokafka.AIOKafkaConsumer(
        bootstrap_servers=servers, group_id=None, auto_offset_reset="earliest", fetch_max_wait_ms=50
    )
    await consumer.start()
    try:
        partitions = [
            aiokafka.TopicPartition(CACHE_CHANGELOG, number)
            for number in await client.producer.partitions_for(CACHE_CHANGELOG)
        ]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        yield Changelog(consumer)
    finally:
        await consumer.stop()


def phone() -> str:
    """Somebody's number, too short for a payment card's: the directory makes an id of it."""
    return f"+1{uuid.uuid4().int % 10**10:010}"


async def known(worker: Worker, identifier: str) -> str:
    """The customer_id of an identifier, once the read model has it."""
    query = f'{{ customerByIdentifier(identifier: "{identifier}") {{ customerId }} }}'
    give_up_at = time.monotonic() + 20
    while True:
        found = (await worker.graphql(query))["data"]["customerByIdentifier"]
        if found:
            return str(found["customerId"])
        assert time.monotonic() < give_up_at, "the read model never had it"
        await asyncio.sleep(0.05)


async def test_an_evicted_customer_leaves_the_changelog_and_is_fetched_anew(
    client: ForeignClient, servers: str, worker: Worker
) -> None:
    till, identifier = Till(client), phone()
    assert (await till.scan(identifier))["source"] == "API"
    assert (await till.scan(identifier))["source"] == "CACHE"

    spelling = f"00{identifier[1:5]} {identifier[5:]}"
    answer = await worker.graphql(EVICT.format(f'identifier: "{spelling}"'))
    assert answer == {"data": {"evictCustomer": {"success": True, "error": None}}}
    async with changelog_of(servers, client) as changelog:
        _, last = await changelog.read_until(identifier, 2)
    assert last is None
    assert (await till.scan(identifier))["source"] == "API"


async def test_a_prefix_evicts_all_that_start_so_in_every_partition_and_no_other(
    client: ForeignClient, servers: str, worker: Worker
) -> None:
    tag = f"CARD_{uuid.uuid4().hex[:8].upper()}"
    cards, other = [f"{tag}_{number}" for number in range(12)], phone()
    till = Till(client)
    for identifier in (*cards, other):
        await till.scan(identifier)
    answer = await worker.graphql(EVICT.format(f'prefix: "{tag}"'))
    assert answer["data"]["evictCustomer"]["success"]
    async with changelog_of(servers, client) as changelog:
        last = [(await changelog.read_until(identifier, 2))[-1] for identifier in cards]
    assert last == [None] * len(cards)
    assert (await till.scan(other))["source"] == "CACHE"


async def test_the_command_evicts_a_customer_and_says_so_masked(
    client: ForeignClient, servers: str, worker: Worker
) -> None:
    till, identifier = Till(client), phone()
    await till.scan(identifier)
    ended = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "posstream.cli", "cache", "evict", identifier],
        env=environment(broker=f"kafka://{servers}", datadir=worker.datadir),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert identifier not in ended.stdout
    async with changelog_of(servers, client) as changelog:
        _, last = await changelog.read_until(identifier, 2)
    assert last is None
    assert (await till.scan(identifier))["source"] == "API"


async def test_new_data_of_a_customer_answers_the_next_scan_without_a_call(
    client: ForeignClient, worker: Worker
) -> None:
    till, identifier = Till(client), phone()
    customer_id = (await till.scan(identifier))["customer"]["customer_id"]
    assert await known(worker, identifier) == customer_id
    await till.update(
        customer={"customer_id": customer_id, "tier": "PLATINUM"}, customer_id=customer_id
    )

    answer = await till.scan_until(
        identifier, lambda answer: answer["customer"]["tier"] == "PLATINUM"
    )
    assert answer["source"] == "CACHE"
    calls = client.seen.counts("customer_identifier", topics.CUSTOMER_LOOKUP_LOGGED)
    assert calls[identifier] == 1


async def test_news_older_than_the_cached_data_changes_nothing(
    client: ForeignClient, servers: str
) -> None:
    till, identifier = Till(client), phone()
    fetched = await till.scan(identifier)
    minute_ago = iso_utc_ms(time.time_ns() // 1_000_000 - 60_000)
    for tier, occurred_at in (("OLDER", minute_ago), ("NEWER", None)):
        customer = fetched["customer"] | {"tier": tier}
        await till.update(
            customer_identifier=identifier, customer=customer, occurred_at=occurred_at
        )
    async with changelog_of(servers, client) as changelog:
        written = await changelog.read_until(identifier, 2)
    documents = [entry.document or b"" for entry in written if entry is not None]
    tiers = [orjson.loads(document)["tier"] for document in documents]
    assert tiers == [fetched["customer"]["tier"], "NEWER"]


async def test_news_of_a_customer_id_drops_all_its_identifiers(
    client: ForeignClient, worker: Worker
) -> None:
    till, aliases = Till(client), ("+1234567890", "john@example.com")
    for identifier in aliases:
        assert (await till.scan(identifier))["customer"]["customer_id"] == "CUST_001"
        assert await known(worker, identifier) == "CUST_001"
    await till.update(customer_id="CUST_001")
    for identifier in aliases:
        await till.scan_until(identifier, lambda answer: answer["source"] == "API")


async def test_news_that_cannot_be_read_become_a_dead_letter(client: ForeignClient) -> None:
    key, value = uuid.uuid4().hex.encode(), b'{"tier": "GOLD"}'
    await client.producer.send_and_wait(topics.CUSTOMER_UPDATED, value, key=key)

    def letters() -> list[Any]:
        return [r for r in client.seen.records if r.topic == topics.DEAD_LETTERS and r.key == key]

    await client.read_until(lambda _: bool(letters()), 20)
    headers = dict(letters()[0].headers)
    assert letters()[0].value == value
    assert headers["posstream.dlq.topic"] == topics.CUSTOMER_UPDATED.encode()
    assert headers["posstream.dlq.reason"] == b"MISSING_FIELD"


async def test_what_no_window_will_serve_again_is_swept_out_of_the_changelog(
    client: ForeignClient, servers: str
) -> None:
    till, identifier = Till(client), phone()
    long_ago = iso_utc_ms(time.time_ns() // 1_000_000 - 2 * DAY_MS)
    await till.update(
        customer_identifier=identifier, customer={"customer_id": "OLD"}, occurred_at=long_ago
    )
    async with changelog_of(servers, client) as changelog:
        written = await changelog.read_until(identifier, 2)
    assert [entry is None for entry in written] == [False, True]
