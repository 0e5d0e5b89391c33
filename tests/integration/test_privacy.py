"""A mixed day, then a search: no identifier, key, password or card number where none may be."""

import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import aiohttp
import orjson
import pytest

from agents.baskets.topics import POS_EVENTS
from agents.customer_lookup import topics
from posstream.kafka.embedded_broker import EmbeddedBroker
from posstream.kafka.topics import WORKERS
from tests.integration.collector import running_collector
from tests.integration.directory import Directory, running_directory
from tests.integration.harness import (
    ForeignClient,
    Scan,
    Tally,
    Worker,
    foreign_client,
    free_port,
)

PHONE, EMAIL, CARD = "+4915755511223", "ada.lovelace@shop.example", "CARD_90210777"
#: Of a customer whom the directory does not know, and of one whom it cannot tell.
UNKNOWN, FAILED = "unknown.person@shop.example", "+4915755599887"
PAN = "4111111111111111"
OPERATOR, SUPPORT, WRONG = "operator-key-7a41c2", "support-key-93bd07", "wrong-key-55e1f0-x"
TOWARDS_THE_DIRECTORY = "directory-token-2f8e19"
#: What nobody may find, in the spellings that URLs and JSON give it.
HIDDEN = {
    spelling
    for it in (PHONE, EMAIL, CARD, UNKNOWN, FAILED, PAN, OPERATOR, SUPPORT, WRONG)
    for spelling in (it, quote(it), quote_plus(it), it.lstrip("+"))
} | {TOWARDS_THE_DIRECTORY}
#: What is to be read there if this test looks at the right thing.
KNOWN = {
    "log": "dead letter",
    "traces": "GraphQL",
    "topic of the workers": '"version"',
    "/metrics after a kill": "posstream_answers_total",
}
PAGES = ("/", "/lookups", "/attempts", "/customers", "/baskets", "/fraud/alerts", "/dead-letters")
MUTATIONS = (
    ('startBasket(employeeId: 7, terminalId: "T1", customerIdentifier: "%s") { success }', EMAIL),
    ('identifyCustomer(basketId: "b-9", customerIdentifier: "%s") { success }', PHONE),
    ('addItem(basketId: "b-9", productId: "%s", unitPrice: "1.00") { success }', PAN),
    ('customerByIdentifier(identifier: "%s", { id }', EMAIL),  # not even GraphQL
)


@dataclass
class Day:
    """One worker's day."""

    worker: Worker
    directory: Directory
    client: ForeignClient
    #: What was to be read of it where nobody may find anything, by place.
    read: dict[str, str] = field(default_factory=dict)

    async def get(self, path: str, key: str) -> None:
        headers = {"Authorization": f"Bearer {key}", "Accept": "text/html"}
        async with (
            aiohttp.ClientSession(headers=headers) as http,
            http.get(f"{self.worker.url}{path}") as response,
        ):
            await response.read()

    async def post(self, query: str) -> None:
        headers = {"Authorization": f"Bearer {OPERATOR}"}
        async with (
            aiohttp.ClientSession(headers=headers) as http,
            http.post(f"{self.worker.url}/graphql/", json={"query": query}) as response,
        ):
            await response.read()

    async def scanned(self, *identifiers: str) -> None:
        scans = [Scan(str(uuid.uuid4()), f"b-{uuid.uuid4()}", it) for it in identifiers]
        for scan in scans:
            await self.client.producer.send_and_wait(topics.CUSTOMER_IDENTIFIED, scan.value)
        await Tally(self.client).all_of(scans)

    async def look(self, name: str) -> None:
        """Keep what a worker says of itself now."""
        for path in ("/metrics", "/health/ready", "/health/live"):
            async with (
                aiohttp.ClientSession(headers={"Authorization": f"Bearer {OPERATOR}"}) as http,
                http.get(f"{self.worker.url}{path}") as response,
            ):
                self.read[f"{path} {name}"] = await response.text()


async def play(day: Day) -> None:
    """Hits, misses, failures, dead letters, a purchase, pages, a wrong key, a forgotten one."""
    send = day.client.producer.send_and_wait
    await day.scanned(PHONE, EMAIL, CARD, UNKNOWN, PHONE, EMAIL)
    day.directory.status = 500
    await day.scanned(FAILED)
    day.directory.status = 200
    for bad in (f"{EMAIL} is no JSON", f'{{"basket_id": "{PHONE}", "customer_identifier": 7}}'):
        await send(topics.CUSTOMER_IDENTIFIED, bad.encode(), key=PHONE.encode())
    card = Scan(str(uuid.uuid4()), "b-card", PAN)
    await send(topics.CUSTOMER_IDENTIFIED, card.value)
    for event in purchase():
        await send(POS_EVENTS, orjson.dumps(event), key=b"b-9")
    for mutation, about in MUTATIONS:
        await day.post(f"mutation {{ {mutation % about} }}")
    for who in (PHONE, EMAIL, CARD, PAN):
        asked = f"?identifier={quote(who)}&q={quote(who)}&reveal=1"
        for page in PAGES:
            await day.get(page + asked, SUPPORT)
        await day.get(f"/no-such-page/{quote(who)}", WRONG)
    await day.look("while the plugins work")
    await day.post(f'mutation {{ forgetCustomer(identifier: "{EMAIL}") {{ success }} }}')


def purchase() -> list[dict[str, Any]]:
    """A till that writes whom it serves where no such thing belongs."""
    common = {"basket_id": "b-9", "terminal_id": "T1", "employee_id": "E1"}
    return [
        common | more
        for more in (
            {"event_type": "ITEM_ADDED", "product_id": PAN, "unit_price": "10.00"},
            {"event_type": "ITEM_ADDED", "product_id": "P", "unit_price": PHONE},
            {"event_type": EMAIL, "product_id": "P"},
            {"event_type": "PAYMENT_COMPLETED", "amount": "10.00", "method": f"card {PAN}"},
        )
    ]


@pytest.mark.parametrize("log_format", ["text", "json"])
async def test_nothing_personal_or_secret_is_where_people_who_run_it_look(
    tmp_path: Path, log_format: str
) -> None:
    broker = EmbeddedBroker(free_port(), log_file=tmp_path / "broker.log")
    broker.start()
    try:
        async with running_collector() as collector, running_directory() as directory:
            worker = Worker(
                broker.address,
                tmp_path,
                environ={
                    "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
                    "OTEL_BSP_SCHEDULE_DELAY": "200",
                    "OTEL_TRACES_SAMPLER": "always_on",
                },
                log_level="debug",
                log_format=log_format,
                api_endpoint=directory.endpoint,
                api_auth=f"bearer {TOWARDS_THE_DIRECTORY}",
                api_key=OPERATOR,
                api_keys=f"support:{SUPPORT}:desk",
            )
            worker.start()
            try:
                await worker.ready()
                async with foreign_client(worker.servers, WORKERS) as client:
                    day = Day(worker, directory, client)
                    await play(day)
                    await collector.until(
                        lambda: any(it.name.startswith("GraphQL") for _, it in collector.spans)
                    )
                    worker.kill_beside()
                    worker.kill()
                    worker.start()
                    await worker.ready()
                    await day.scanned(PHONE, CARD)
                    await day.look("after a kill")
                    day.read["topic of the workers"] = b"".join(
                        (record.key or b"") + (record.value or b"")
                        for record in client.seen.records
                        if record.topic == WORKERS
                    ).decode()
                assert worker.stop() == 0, worker.log[-3000:]
            finally:
                worker.kill()
            day.read["log"] = worker.log
            day.read["traces"] = collector.sent.decode(errors="replace")
    finally:
        broker.stop()
    for place, known in KNOWN.items():
        assert known in day.read[place], f"{place} tells of the day"
    found = {
        (place, hidden): text[max(0, at - 200) : at + 100]
        for place, text in day.read.items()
        for hidden in HIDDEN
        if (at := text.find(hidden)) >= 0
    }
    assert not found
