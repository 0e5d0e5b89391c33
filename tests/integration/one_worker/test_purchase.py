"""A purchase, as a till's integrator sends it, and what comes back."""

import asyncio
import re
import sys
import uuid
from pathlib import Path
from typing import Any

import orjson
import pytest

from agents.baskets.topics import BASKET_COMPLETED, DEAD_LETTERS, POS_EVENTS
from agents.customer_lookup.topics import BASKET_STARTED, CUSTOMER_DATA_FETCHED, CUSTOMER_IDENTIFIED
from tests.integration.harness import Seen, Worker, foreign_client

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "send-what-happens-at-a-till.md"

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_purchase_of_a_foreign_client_ends_in_one_message_with_the_right_sums(
    servers: str, worker: Worker
) -> None:
    basket = f"basket_{uuid.uuid4().hex[:12]}"
    card = f"CARD_{uuid.uuid4().hex[:12]}"

    def completed(seen: Seen) -> list[dict[str, Any]]:
        return [it for it in seen.of(BASKET_COMPLETED) if it["basket_id"] == basket]

    async with foreign_client(servers, BASKET_COMPLETED, DEAD_LETTERS) as client:

        async def send(topic: str, key: str = basket, **fields: Any) -> None:
            event = {"basket_id": basket, "event_id": str(uuid.uuid4()), **fields}
            await client.producer.send_and_wait(topic, orjson.dumps(event), key=key.encode())

        await send(BASKET_STARTED, employee_id=7, terminal_id="t1")
        await send(CUSTOMER_IDENTIFIED, customer_identifier=card, identifier_kind="CARD")
        item = {"event_type": "item.added", "product_id": "4006381333931"}
        await send(POS_EVENTS, **item, item_id="pens", price=0.1, quantity=3)
        # Under the keys of a till that knows no better, in other partitions.
        for number in range(4):
            await send(POS_EVENTS, f"k{number}", **item, price="19.99", item_id=f"i{number}")
        await send(POS_EVENTS, event_type="ITEM_REMOVED", item_id="nobody")
        await send(POS_EVENTS, event_type="PRICE_OVERRIDDEN", item_id="pens")  # no price
        await client.read_until(
            lambda seen: basket in seen.counts("basket_id", CUSTOMER_DATA_FETCHED)
        )
        paid = {"event_type": "PAYMENT_COMPLETED", "total_amount": "80.26", "currency": "EUR"}
        await send(POS_EVENTS, **paid, payment_method="CARD")

        def is_whole(seen: Seen) -> bool:
            """Events under other keys take a second way."""
            return any(it["revision"] == 9 for it in completed(seen))

        await client.read_until(is_whole)
        await client.read_for(0.5)
        whole = max(completed(client.seen), key=lambda it: it["revision"])
        assert {
            name: whole[name] for name in ("revision", "status", "subtotal", "total", "paid")
        } == {
            "revision": 9,
            "status": "PAID",
            "subtotal": "80.26",
            "total": "80.26",
            "paid": "80.26",
        }
        assert (whole["customer_identifier"], len(whole["items"])) == (card.upper(), 5)
        assert (whole["terminal_id"], whole["employee_id"]) == ("t1", "7")
        (letter,) = [
            it
            for it in client.seen.records
            if it.topic == DEAD_LETTERS and it.key == basket.encode()
        ]
        assert dict(letter.headers)["posstream.dlq.error"] == b"unit_price is missing"
    assert worker.running


async def test_the_program_of_the_documentation_prints_what_the_page_says(
    servers: str, worker: Worker
) -> None:
    page = PAGE.read_text()
    program, printed, shown = re.findall(r"^```\w+\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        program.replace("127.0.0.1:9092", servers.replace(";", ",")),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 30)
    assert (output.decode(), process.returncode) == (printed, 0)
    expected = orjson.loads(shown)
    async with foreign_client(servers, BASKET_COMPLETED) as client:

        def is_there(seen: Seen) -> bool:
            return any(
                {name: it[name] for name in expected} == expected
                for it in seen.of(BASKET_COMPLETED)
            )

        await client.read_until(is_there, seconds=10)
    assert worker.running
