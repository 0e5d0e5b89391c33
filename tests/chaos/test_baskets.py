"""Baskets, while workers die: every sum must be right to the cent."""

import asyncio
import random
import time
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import orjson
import pytest

from agents.baskets.topics import BASKET_COMPLETED
from tests import till_reference
from tests.chaos.checks import Publish, restarted
from tests.chaos.ledger import Count
from tests.chaos.stage import SETTLE_SECONDS, Stage, Till
from tests.till_day import Message, TillDay

BASKETS = 150
#: Of the messages, those that come under another key than their basket's.
MISPLACED = 0.1


async def send(
    till: Till, messages: Sequence[Message], chance: random.Random, seconds: float
) -> None:
    """Send messages in their order, spread over a time."""
    written = []
    for number, message in enumerate(messages):
        key = message.key if chance.random() >= MISPLACED else f"other-{number}"
        value = orjson.dumps(message.value)
        written.append(await till.client.producer.send(message.topic, value, key=key.encode()))
        if number % 20 == 0:
            await asyncio.sleep(20 * seconds / len(messages))
    await asyncio.gather(*written)


def newest(till: Till) -> dict[str, dict[str, Any]]:
    """Of each basket the message with the highest revision."""
    found: dict[str, dict[str, Any]] = {}
    for value in till.client.seen.of(BASKET_COMPLETED):
        known = found.get(value["basket_id"])
        if known is None or value["revision"] > known["revision"]:
            found[value["basket_id"]] = value
        elif value["revision"] == known["revision"]:
            assert told(value) == told(known), "two messages of one revision differ"
    return found


def told(value: dict[str, Any]) -> dict[str, Any]:
    """What a message says of its basket."""
    return {
        "revision": value["revision"],
        "status": value["status"],
        "customer_identifier": value["customer_identifier"],
        "items": len(value["items"]),
        **{name: Decimal(value[name]) for name in ("total", "paid", "refunded")},
    }


def expected(messages: Sequence[Message]) -> dict[str, dict[str, Any]]:
    """The baskets that must be told, as `told` shows them."""
    made = till_reference.baskets(it.value for it in messages)
    return {
        basket_id: {name: value for name, value in basket.items() if name != "was_paid"}
        for basket_id, basket in made.items()
        if basket["was_paid"]
    }


async def settled(till: Till, wanted: dict[str, dict[str, Any]]) -> tuple[int, int]:
    """How many baskets are not told, and how many are told wrongly, once nothing more comes."""

    def is_all() -> bool:
        found = newest(till)
        return all(
            basket_id in found and found[basket_id]["revision"] >= basket["revision"]
            for basket_id, basket in wanted.items()
        )

    give_up_at = time.monotonic() + SETTLE_SECONDS
    while not is_all() and time.monotonic() < give_up_at:
        await till.client.read_for(0.5)
    found = newest(till)
    missing = [it for it in wanted if it not in found]
    wrong = [it for it in wanted if it in found and told(found[it]) != wanted[it]]
    return len(missing), len(wrong)


def count(messages: Sequence[Message], wanted: int, missing: int, wrong: int) -> Count:
    return Count(
        sent=len(messages),
        answered=wanted - missing,
        lost=missing,
        duplicated=0,
        late=0,
        failed=0,
        wrong=wrong,
        extra_calls=0,
        sql_missing=0,
    )


@pytest.mark.short
async def test_kills_while_baskets_are_filled(stage: Stage, publish: Publish) -> None:
    """`kill -9` again and again while 150 baskets are filled; late, repeated, misplaced events."""
    (worker,) = await stage.started()
    day = TillDay(stage.seed, BASKETS, int(time.time() * 1000) - 2 * 3_600_000)
    messages = day.messages()
    async with stage.till(BASKET_COMPLETED) as till:
        sending = asyncio.ensure_future(send(till, messages, stage.chance, seconds=20))
        while not sending.done():
            await asyncio.sleep(stage.chance.uniform(0, 4))
            worker.kill()
            await restarted(worker)
        await sending
        wanted = expected(messages)
        missing, wrong = await settled(till, wanted)
        publish(
            count(messages, len(wanted), missing, wrong),
            f"{len(wanted)} baskets to tell, {worker.starts} starts",
        )
    assert (missing, wrong) == (0, 0)
