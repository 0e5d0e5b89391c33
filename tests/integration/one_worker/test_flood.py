"""Messages that cannot be read, in thousands: what can be read is answered all the same."""

import asyncio
import uuid
from typing import Any

import aiohttp
import orjson
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from agents.customer_lookup import topics
from posstream.domain.errors import DeadLetterReason
from posstream.events.ids import input_id
from posstream.kafka.topics import DEAD_LETTER_MAX_BYTES
from tests.integration.harness import ForeignClient, Scan, Tally, Worker

pytestmark = pytest.mark.asyncio(loop_scope="session")

UNREADABLE = 5000
READABLE = 100


async def readiness(worker: Worker) -> tuple[int, dict[str, Any]]:
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{worker.url}/health/ready") as response,
    ):
        return response.status, await response.json()


def unreadable(number: int) -> bytes | None:
    kinds = (
        b"not json %d" % number,
        b"\xff\xfe %d" % number,
        b"[%d]" % number,
        orjson.dumps({"basket_id": f"b-{number}"}),
        b"{" + b" " * 3000,
        b"",
        None,
    )
    return kinds[number % len(kinds)]


async def test_all_that_can_be_read_is_answered_and_the_worker_says_that_it_is_degraded(
    client: ForeignClient, worker: Worker
) -> None:
    scans = [Scan(str(uuid.uuid4()), f"flood-{n}", f"CARD_FLOOD_{n}") for n in range(READABLE)]
    said = worker.log.count("dead letter: ")
    waiting = []
    for number in range(UNREADABLE):
        partition = number % 2
        value = unreadable(number)
        sent = await client.producer.send(
            topics.CUSTOMER_IDENTIFIED, value, key=b"flood", partition=partition
        )
        waiting.append(sent)
        if number % (UNREADABLE // READABLE) == 0:
            scan = scans[number // (UNREADABLE // READABLE)]
            waiting.append(
                await client.producer.send(
                    topics.CUSTOMER_IDENTIFIED, scan.value, partition=partition
                )
            )
    await asyncio.gather(*waiting)

    answers = await Tally(client).all_of(scans)
    assert [answer["basket_id"] for answer in answers] == [scan.basket_id for scan in scans]
    await client.read_until(lambda seen: letters(seen) >= UNREADABLE)
    assert letters(client.seen) == UNREADABLE
    status, health = await readiness(worker)
    assert (status, health["status"]) == (200, "degraded")
    assert "customer-identified: see `posstream dlq list`" in health["reasons"][0]
    assert worker.log.count("dead letter: ") - said <= len(DeadLetterReason)


def letters(seen: Any) -> int:
    return len(values(seen, b"flood"))


async def test_an_event_without_an_id_is_known_by_the_place_and_the_time_of_its_record(
    client: ForeignClient,
) -> None:
    basket = f"nameless-{uuid.uuid4().hex}"
    sent = await client.producer.send_and_wait(
        topics.CUSTOMER_IDENTIFIED,
        orjson.dumps({"basket_id": basket, "customer_identifier": "CARD_123456"}),
        partition=0,
        timestamp_ms=1_700_000_000_123,
    )

    def answered(seen: Any) -> list[str]:
        return [
            value["lookup_id"]
            for value in seen.of(topics.CUSTOMER_DATA_FETCHED)
            if value["basket_id"] == basket
        ]

    await client.read_until(answered)
    place = (topics.CUSTOMER_IDENTIFIED, sent.partition, sent.offset)
    assert answered(client.seen) == [input_id(None, *place, sent.timestamp)]


@pytest.mark.parametrize("topic", [topics.CUSTOMER_UPDATED, topics.REKEYED, topics.CACHE_COMMANDS])
async def test_a_flood_on_another_topic_stops_nothing(client: ForeignClient, topic: str) -> None:
    key = f"flood-{topic}".encode()
    waiting = [
        await client.producer.send(topic, b"broken %d" % number, key=key, partition=0)
        for number in range(2000)
    ]
    await asyncio.gather(*waiting)
    scan = Scan(str(uuid.uuid4()), f"beside-{topic}", "CARD_123456")
    await client.producer.send_and_wait(topics.CUSTOMER_IDENTIFIED, scan.value, partition=0)
    await Tally(client).all_of([scan])
    await client.read_until(lambda seen: len(values(seen, key)) == 2000)


@pytest.mark.kafka  # the embedded broker refuses nothing
async def test_a_dead_letter_that_the_broker_refuses_is_written_cut_and_stops_nothing(
    client: ForeignClient, worker: Worker, servers: str
) -> None:
    key = f"refused-{uuid.uuid4()}".encode()
    await limit_dead_letters(servers, 1500)
    try:
        for value in (b"large " * 1000, b"small", b"{" * 1400):
            await client.producer.send_and_wait(
                topics.CUSTOMER_IDENTIFIED, value, key=key, partition=0
            )
        scan = Scan(str(uuid.uuid4()), "after-a-refusal", "CARD_123456")
        await client.producer.send_and_wait(topics.CUSTOMER_IDENTIFIED, scan.value, partition=0)
        await Tally(client).all_of([scan])

        await client.read_until(lambda seen: len(values(seen, key)) == 3)
    finally:
        await limit_dead_letters(servers, DEAD_LETTER_MAX_BYTES)
    assert sorted(values(client.seen, key)) == sorted(
        [(b"large " * 1000)[:256], b"small", (b"{" * 1400)[:256]]
    )
    assert worker.running


def values(seen: Any, key: bytes) -> list[bytes]:
    """The values of the dead letters with a key."""
    return [it.value for it in seen.records if it.topic == topics.DEAD_LETTERS and it.key == key]


async def limit_dead_letters(servers: str, most_bytes: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=servers.replace(";", ","))
    await admin.start()
    try:
        await admin.alter_configs(
            [
                ConfigResource(
                    ConfigResourceType.TOPIC,
                    topics.DEAD_LETTERS,
                    {"max.message.bytes": str(most_bytes)},
                )
            ]
        )
    finally:
        await admin.close()
