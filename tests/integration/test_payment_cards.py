"""Nothing that leaves a worker holds a payment card, whoever sent it: a till or the directory."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import aiokafka
import orjson
import pytest
from aiohttp import web

from agents.customer_lookup import topics
from posstream.domain.payment_card import mask_payment_cards_in_bytes
from posstream.kafka.embedded_broker import EmbeddedBroker
from tests.integration.harness import Worker, foreign_client, free_port

PAN = "4111111111111111"
#: In many spellings; each is somewhere in an event, and in what the directory answers.
SPELLINGS = (
    PAN,
    "4111 1111 1111 1111",
    "4111\u00a01111\u20111111\u200b1111",
    "4111,1111_1111/1111",
    "\uff14" + PAN[1:],
    "4111%201111%201111%201111",
    "4111&nbsp;1111&nbsp;1111&nbsp;1111",
    f"order 7 {PAN} 12/27",
    f";{PAN}=25121010000000000?",
)
CUSTOMER = {
    "customer_id": "C-1",
    "first_name": f"Ann {PAN}",
    "phone": "+4222222222222",
    "tier": SPELLINGS[1],
    "pan": int(PAN),
    "amount": 4111111111111111.5,
    SPELLINGS[3]: {"deep": [{"er": spelling} for spelling in SPELLINGS]},
}
#: The broker has what others wrote there.
SOURCES = (topics.CUSTOMER_IDENTIFIED, topics.BASKET_STARTED, topics.CUSTOMER_UPDATED)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    broker = EmbeddedBroker(free_port(), log_file=tmp_path_factory.mktemp("cards") / "broker.log")
    broker.start()
    yield broker.address
    broker.stop()


async def answer(request: web.Request) -> web.Response:
    identifier = request.match_info["identifier"]
    assert not is_leaked(request.raw_path.encode())
    if identifier == "CARD_404":
        return web.json_response({"error": f"no {PAN}"}, status=404)
    if identifier == "CARD_ID":
        return web.json_response({"customer_id": PAN})
    return web.json_response(CUSTOMER)


def is_leaked(raw: bytes) -> bool:
    """Whether a card number is anywhere in it, in any of the spellings."""
    bare = re.sub(rb"[^0-9A-Za-z]|&[a-z]+;|%[0-9A-F]{2}|\\u[0-9a-f]{4}", b"", raw)
    return PAN.encode() in raw or PAN.encode() in bare or mask_payment_cards_in_bytes(raw) != raw


def events() -> Iterator[dict[str, Any]]:
    good = {"basket_id": "b-good", "customer_identifier": "CARD_1"}
    yield good
    yield {**good, "basket_id": "b-404", "customer_identifier": "CARD_404"}
    yield {**good, "basket_id": "b-id", "customer_identifier": "CARD_ID"}
    yield {**good, "basket_id": "b-unknown-field", "note": SPELLINGS}
    for number, spelling in enumerate(SPELLINGS):
        yield {**good, "basket_id": f"b-{number}", "customer_identifier": spelling}
        for name in ("basket_id", "employee_id", "terminal_id"):
            yield {**good, name: spelling}
    yield {**good, "terminal_id": int(PAN)}


async def test_no_card_number_leaves_a_worker(servers: str, tmp_path: Path) -> None:
    port = free_port()
    application = web.Application()
    application.router.add_get("/customers/{identifier}/", answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    worker = Worker(servers, tmp_path, api_endpoint=f"http://127.0.0.1:{port}/customers/")
    worker.start()
    try:
        await worker.ready()
        await run_all(servers, worker)
        assert worker.stop() == 0
    finally:
        worker.kill()
        await runner.cleanup()
    assert not leaks(worker.log.splitlines(keepends=True))
    for path in tmp_path.glob("*.db*"):
        assert PAN.encode() not in path.read_bytes()


def leaks(texts: list[str]) -> list[str]:
    return [text for text in texts if PAN in text or PAN in re.sub(r"[^0-9A-Za-z]", "", text)]


async def run_all(servers: str, worker: Worker) -> None:
    given = list(events())
    dead = sum(
        any(event.get(name, "") not in ("", "CARD_1") and is_card(event[name]) for name in ids)
        for event in given
        for ids in [("basket_id", "employee_id", "terminal_id")]
    )
    async with foreign_client(servers) as client:
        for event in given:
            for ascii_only in (True, False):
                raw = orjson.dumps(event) if not ascii_only else as_ascii(event)
                await client.producer.send_and_wait(
                    topics.CUSTOMER_IDENTIFIED,
                    raw,
                    key=PAN.encode(),
                    headers=[("traceparent", trace()), ("ce_subject", PAN.encode())],
                )
        started = {"basket_id": PAN, "employee_id": "1", "terminal_id": "t"}
        await client.producer.send_and_wait(topics.BASKET_STARTED, orjson.dumps(started))
        await client.producer.send_and_wait(topics.CUSTOMER_IDENTIFIED, b"no json " + PAN.encode())
        for name, arguments in MUTATIONS.items():
            refused = await worker.graphql(f"mutation {{ {name}({arguments}) {{ success }} }}")
            assert not is_leaked(orjson.dumps(refused))
        answers = (topics.CUSTOMER_DATA_FETCHED, topics.CUSTOMER_LOOKUP_FAILED)
        await client.read_until(
            lambda seen: (
                len(seen.of(*answers)) >= 2 * (len(given) - dead)
                and sum(r.topic == topics.DEAD_LETTERS for r in seen.records) >= 2 * dead + 1
            )
        )
        await client.read_for(1)
    await pages(worker)
    for record in await everything(servers):
        for raw in (record.key, record.value, *(value for _, value in record.headers)):
            assert not is_leaked(raw or b""), (record.topic, raw)


def is_card(value: object) -> bool:
    text = str(value).encode()
    return mask_payment_cards_in_bytes(text) != text


def as_ascii(event: dict[str, Any]) -> bytes:
    text = orjson.dumps(event).decode()
    return "".join(c if ord(c) < 128 else f"\\u{ord(c):04x}" for c in text).encode()


def trace() -> bytes:
    return b"00-a" + PAN.encode() + b"bcdefabcdefabcd-b7ad6b7169203331-01"


MUTATIONS = {
    "startBasket": f'employeeId: 1, terminalId: "{PAN}"',
    "identifyCustomer": f'basketId: "{PAN}", customerIdentifier: "CARD_1"',
    "updatePluginConfiguration": f'name: "customer_lookup", description: "{PAN}", enabled: true',
    "evictCustomer": f'prefix: "{PAN}"',
    "forgetCustomer": f'identifier: "x{PAN}"',
}


async def pages(worker: Worker) -> None:
    async with aiohttp.ClientSession() as http:

        async def page(path: str) -> str:
            async with http.get(f"{worker.url}{path}") as response:
                text = await response.text()
            assert not leaks(re.findall(r">[^<]*<|\"[^\"]*\"", text)), path
            return text

        for _ in range(100):
            if "C-1" in await page("/customers?reveal=1"):
                break
            await asyncio.sleep(0.1)
        for path in ("/lookups?reveal=1", "/customers/C-1?reveal=1", "/baskets/b-good?reveal=1"):
            await page(path)
        letters = re.findall(r'href="(/dead-letters/[0-9]+/[0-9]+)"', await page("/dead-letters"))
        assert letters
        for letter in letters:
            await page(f"{letter}?reveal=1")


async def everything(servers: str) -> list[Any]:
    """Every record of every topic that posstream writes."""
    consumer = aiokafka.AIOKafkaConsumer(
        bootstrap_servers=servers, group_id=None, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        names = sorted(await consumer.topics() - set(SOURCES))
        assert topics.REKEYED in names
        places = [
            aiokafka.TopicPartition(name, number)
            for name in names
            for number in consumer.partitions_for_topic(name) or ()
        ]
        consumer.assign(places)
        await consumer.seek_to_beginning(*places)
        found: list[Any] = []
        while batches := await consumer.getmany(timeout_ms=2000):
            found.extend(record for batch in batches.values() for record in batch)
        return found
    finally:
        await consumer.stop()
