"""A wall clock that is set forth and back under load."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import orjson

from agents.customer_lookup.topics import CUSTOMER_LOOKUP_LOGGED
from tests.chaos.checks import Publish, nothing_lost, restarted
from tests.chaos.ledger import ANSWERS
from tests.chaos.stage import Stage, Till
from tests.integration.harness import Seen

HOUR = 3600
TTL_SECONDS = 4
#: An attempt is on its topic before the answer that it brought, and an answer takes a moment.
SLACK_SECONDS = 2


def set_clock(datadir: Path, seconds: float) -> None:
    """Set a worker's clock so far from the machine's."""
    new = datadir / "clock.new"
    new.write_text(str(seconds))
    new.replace(datadir / "clock")


async def test_the_clock_is_set(stage: Stage, publish: Publish) -> None:
    """The wall clock set an hour forth and back, and an hour back and forth, under load."""
    (worker,) = await stage.started(application="tests.chaos.shifted_clock")
    await worker.configure(cache_ttl_seconds=TTL_SECONDS)
    async with stage.till() as till:
        async with till.keeps_scanning(customers=40), in_turns(till) as sent:
            await till.answers(50)
            for seconds in (HOUR, 0, -HOUR, 0):
                set_clock(worker.datadir, seconds)
                await asyncio.sleep(TTL_SECONDS)
        count = await stage.settle(till)
        oldest = oldest_served(till.client.seen)
        publish(count, f"the oldest entry served from the cache was {oldest:.1f} s old")
        seen = till.client.seen
    nothing_lost(count)
    assert (count.late, count.duplicated) == (0, 0)
    assert oldest < TTL_SECONDS + SLACK_SECONDS
    assert least_number(seen) >= 0
    assert in_order(seen, sent)


async def test_a_worker_dies_and_its_clock_is_an_hour_slow(stage: Stage, publish: Publish) -> None:
    """`kill -9`, and a start with a clock that is an hour slower than the one of its entries."""
    (worker,) = await stage.started(application="tests.chaos.shifted_clock")
    await worker.configure(cache_ttl_seconds=TTL_SECONDS)
    set_clock(worker.datadir, HOUR)
    async with stage.till() as till:
        async with till.keeps_scanning(customers=40), in_turns(till) as sent:
            await till.answers(100)
            worker.kill()
            set_clock(worker.datadir, 0)
            await restarted(worker)
            await till.answers(len(till.ledger.sent))
            await asyncio.sleep(2 * TTL_SECONDS)
        count = await stage.settle(till)
        oldest = oldest_served(till.client.seen)
        publish(count, f"the oldest entry served from the cache was {oldest:.1f} s old")
        seen = till.client.seen
    nothing_lost(count)
    assert oldest < TTL_SECONDS + SLACK_SECONDS
    assert least_number(seen) >= 0
    assert in_order(seen, sent)


@contextlib.asynccontextmanager
async def in_turns(till: Till) -> AsyncIterator[list[str]]:
    """One customer is scanned for one basket, each time after the time before it.

    Yields:
        the lookup ids, in the order in which they were sent.
    """
    basket = till.scans(1)[0].basket_id
    sent: list[str] = []
    stop = asyncio.Event()

    async def scan_on() -> None:
        while not stop.is_set():
            (scan,) = till.scans(1)
            scan = dataclasses.replace(scan, identifier="CARD_IN_TURNS", basket_id=basket)
            await till.send([scan], key=scan.identifier.encode())
            sent.append(scan.lookup_id)
            await asyncio.sleep(0.05)

    task = asyncio.ensure_future(scan_on())
    try:
        yield sent
    finally:
        stop.set()
        await task


def answers(seen: Seen) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Records and values."""
    for record in seen.records:
        if record.topic in ANSWERS:
            yield record, orjson.loads(record.value)


def in_order(seen: Seen, sent: list[str]) -> bool:
    """Whether they were first answered in the order in which they were sent."""
    wanted = set(sent)
    came = sorted(
        (record.offset, value["lookup_id"])
        for record, value in answers(seen)
        if value["lookup_id"] in wanted
    )
    return list(dict.fromkeys(lookup_id for _, lookup_id in came)) == sent


def least_number(seen: Seen) -> int:
    """The least age or duration that an answer or an attempt tells."""
    told = seen.of(*ANSWERS, CUSTOMER_LOOKUP_LOGGED)
    return min(value[name] for value in told for name in ("age_ms", "duration_ms") if name in value)


def oldest_served(seen: Seen) -> float:
    """The longest, in seconds by the broker's clock, from an attempt to an answer by its entry."""
    fetched = {
        (value["customer_identifier"], value["request_timestamp"]): record.timestamp
        for record in seen.records
        if record.topic == CUSTOMER_LOOKUP_LOGGED
        for value in [orjson.loads(record.value)]
    }
    ages = [
        record.timestamp - fetched[entry]
        for record, value in answers(seen)
        if value["source"] == "CACHE"
        and (entry := (value["customer_identifier"], value["fetched_at"])) in fetched
    ]
    assert len(ages) > 100, "hardly anything came from the cache"
    return max(ages) / 1000
