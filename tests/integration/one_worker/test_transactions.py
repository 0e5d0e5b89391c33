"""Transactions of foreign producers, on Apache Kafka: only what is committed is an event."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import aiokafka
import pytest

from agents.customer_lookup import topics
from tests.integration.harness import ForeignClient, Scan, Tally, Worker

pytestmark = [pytest.mark.kafka, pytest.mark.asyncio(loop_scope="session")]

PARTITION, OTHER = 1, 0


def scans(tag: str, count: int = 5) -> list[Scan]:
    return [Scan(str(uuid.uuid4()), f"{tag}-{number}", "CARD_123456") for number in range(count)]


@contextlib.asynccontextmanager
async def till_with_transactions(servers: str) -> AsyncIterator[aiokafka.AIOKafkaProducer]:
    async with aiokafka.AIOKafkaProducer(
        bootstrap_servers=servers.replace(";", ","),
        transactional_id=f"till-{uuid.uuid4()}",
        transaction_timeout_ms=120_000,
    ) as producer:
        yield producer


async def write(producer: aiokafka.AIOKafkaProducer, scans: list[Scan]) -> None:
    for scan in scans:
        await producer.send_and_wait(
            topics.CUSTOMER_IDENTIFIED, scan.value, partition=PARTITION, key=b"transaction"
        )


async def test_events_of_aborted_transactions_get_no_answer_and_the_others_get_one(
    client: ForeignClient, servers: str
) -> None:
    aborted, committed, plain = scans("aborted"), scans("committed"), scans("plain")
    async with till_with_transactions(servers) as one, till_with_transactions(servers) as two:
        # Interleaved: the batches of both lie between each other's.
        await one.begin_transaction()
        await two.begin_transaction()
        for lost, kept in zip(aborted, committed, strict=True):
            await write(one, [lost])
            await write(two, [kept])
        await one.send_and_wait(
            topics.CUSTOMER_IDENTIFIED, b"broken", partition=PARTITION, key=b"aborted"
        )
        await one.abort_transaction()
        await two.commit_transaction()
        await write(client.producer, plain)
    tally = Tally(client)
    await tally.all_of([*committed, *plain])
    await client.read_for(1)
    assert await tally.all_of(committed), "once each"
    assert [scan.basket_id for scan in aborted if scan.lookup_id in tally.answers] == []
    dead = [it for it in client.seen.records if it.topic == topics.DEAD_LETTERS]
    assert [it for it in dead if it.key == b"aborted"] == []


async def test_an_open_transaction_that_hangs_is_told_with_its_place_until_it_ends(
    client: ForeignClient, worker: Worker, servers: str
) -> None:
    hanging, behind, beside = scans("hanging"), scans("behind"), scans("beside")
    async with till_with_transactions(servers) as producer:
        await producer.begin_transaction()
        await write(producer, hanging)
        await write(client.producer, behind)
        for scan in beside:
            await client.producer.send_and_wait(
                topics.CUSTOMER_IDENTIFIED, scan.value, partition=OTHER
            )
        tally = Tally(client)
        await tally.all_of(beside)
        reason = await warning_of(worker, "open transaction")
        assert f"{topics.CUSTOMER_IDENTIFIED}/{PARTITION}/" in reason
        assert "holds up 10 records" in reason
        assert reason.removeprefix("customer_lookup: ") in worker.log
        assert await worker.metric("posstream_held_by_transactions") == 10
        assert [it.basket_id for it in behind if it.lookup_id in tally.answers] == []
        await producer.abort_transaction()
    await tally.all_of(behind)
    assert [it.basket_id for it in hanging if it.lookup_id in tally.answers] == []
    assert "holds up nothing any more" in await log_that_says(worker, "holds up nothing any more")


async def warning_of(worker: Worker, words: str) -> str:
    """The reason with these words for which the worker says that it is degraded."""
    async with asyncio.timeout(60), aiohttp.ClientSession() as http:
        while True:
            async with http.get(f"{worker.url}/health/ready") as response:
                told: dict[str, Any] = await response.json()
            for reason in told["reasons"]:
                if words in reason:
                    assert (response.status, told["status"]) == (200, "degraded")
                    return str(reason)
            await asyncio.sleep(0.2)


async def log_that_says(worker: Worker, words: str) -> str:
    async with asyncio.timeout(60):
        while words not in worker.log:  # noqa: ASYNC110 - it waits for a process
            await asyncio.sleep(0.2)
    return worker.log
