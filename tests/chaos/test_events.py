"""Events that come again, at the same time, in the wrong order, or with impossible times."""

import asyncio
import dataclasses
import time
from dataclasses import dataclass

import orjson
import pytest

from agents.customer_lookup import topics
from agents.customer_lookup.events.writing import basket_started
from posstream.domain.times import iso_utc_ms
from posstream.events.ids import input_id
from posstream.settings import PARTITIONS
from tables.partitioned import home
from tests.chaos.checks import COMMITTED_SECONDS, Publish, nothing_lost, restarted, stopped
from tests.chaos.ledger import ANSWERS
from tests.chaos.read_model import rows
from tests.chaos.stage import Stage, Till
from tests.integration.harness import Scan

_DAY_MS = 86_400_000
_YEAR_MS = 365 * _DAY_MS


def now_ms() -> int:
    return round(time.time() * 1000)


async def test_the_same_event_three_times(stage: Stage, publish: Publish) -> None:
    """Each event sent three times: three answers under the same ids, and one row."""
    await stage.started()
    async with stage.till() as till:
        scans = till.scans(100)
        await asyncio.gather(till.send(scans), till.send(scans))
        await till.send(scans)
        await till.client.read_until(lambda seen: len(seen.of(*ANSWERS)) >= 300)
        count = publish(await stage.settle(till), "all of them sent three times")
    nothing_lost(count)
    assert (count.duplicated, count.late, count.extra_calls) == (200, 0, 0)
    written = await rows(stage.database_url)
    assert len(written["lookup_answers"]) == 100


async def test_one_basket_at_two_tills(stage: Stage, publish: Publish) -> None:
    """One basket scanned at two tills at once: the last by `occurred_at` wins, both are kept."""
    await stage.started(2)
    async with stage.till() as till:
        pairs = [_two_scans_of_one_basket(till) for _ in range(100)]
        scans = [scan for pair in pairs for scan in pair]
        stage.chance.shuffle(scans)
        for first in range(0, len(scans), 20):
            stage.directory.delay_seconds = stage.chance.uniform(0, 0.3)
            await till.send(scans[first : first + 20])
        count = publish(await stage.settle(till))
    nothing_lost(count)
    assert (count.late, count.duplicated) == (0, 0)
    written = await rows(stage.database_url)
    customers = {row["basket_id"]: row["customer_id"] for row in written["baskets"]}
    assert customers == {later.basket_id: f"C-{later.identifier}" for _, later in pairs}
    assert len(written["lookup_answers"]) == 200


def _two_scans_of_one_basket(till: Till) -> tuple[Scan, Scan]:
    """The earlier and the later one, of customers of their own."""
    earlier, later = till.scans(2)
    who, at = earlier.basket_id.replace("-", "_").upper(), now_ms()
    return (
        dataclasses.replace(earlier, identifier=f"{who}_A", occurred_at=iso_utc_ms(at - 1)),
        dataclasses.replace(
            later,
            identifier=f"{who}_B",
            occurred_at=iso_utc_ms(at),
            basket_id=earlier.basket_id,
        ),
    )


async def test_identified_before_it_started(stage: Stage, publish: Publish) -> None:
    """Baskets that are identified before, and while, their start arrives."""
    await stage.started()
    async with stage.till() as till:
        early, scans = till.scans(50), till.scans(50)
        await till.send(early)
        await stage.settle(till)
        await asyncio.gather(_start(till, [*early, *scans]), till.send(scans))
        count = publish(await stage.settle(till))
    nothing_lost(count)
    assert (count.late, count.duplicated) == (0, 0)
    written = await rows(stage.database_url)
    assert len(written["baskets"]) == 100
    for row in written["baskets"]:
        assert None not in (row["customer_id"], row["started_at"])
        assert (row["employee_id"], row["terminal_id"]) == ("7", "till-7")


async def _start(till: Till, scans: list[Scan]) -> None:
    for scan in scans:
        started = basket_started(scan.basket_id, 7, "till-7", now_ms())
        await till.client.producer.send(started.topic, started.value, key=started.key)
    await till.client.producer.flush()


@dataclass(frozen=True)
class Nameless(Scan):
    """A scan without an event_id, known by where and when the broker wrote it."""

    partition: int = 0
    offset: int = 0
    timestamp_ms: int = 0

    @property
    def lookup_id(self) -> str:
        return input_id(
            None, topics.CUSTOMER_IDENTIFIED, self.partition, self.offset, self.timestamp_ms
        )

    @property
    def value(self) -> bytes:
        return orjson.dumps({"basket_id": self.basket_id, "customer_identifier": self.identifier})


async def _send_nameless(till: Till, scan: Scan, partition: int) -> None:
    nameless = Nameless(**dataclasses.asdict(scan), partition=partition)
    at = till.ledger.write(nameless)
    sent = await till.client.producer.send_and_wait(
        topics.CUSTOMER_IDENTIFIED, nameless.value, partition=partition
    )
    known = dataclasses.replace(nameless, offset=sent.offset, timestamp_ms=sent.timestamp)
    till.ledger.acknowledged(known, at)


async def test_events_without_an_id_come_again(stage: Stage, publish: Publish) -> None:
    """Events without `event_id`, redelivered after `kill -9`: answered under the same ids."""
    (worker,) = await stage.started()
    async with stage.till() as till:
        mine = [scan for scan in till.scans(400) if home(scan.identifier, PARTITIONS) == 0][:21]
        stage.directory.gate = asyncio.Event()
        await _send_nameless(till, mine[0], 0)
        while not stage.directory.at_once:  # noqa: ASYNC110 - the directory has no event for it
            await asyncio.sleep(0.05)
        slow, stage.directory.gate = stage.directory.gate, None
        for scan in mine[1:]:
            await _send_nameless(till, scan, 0)
        await till.answers(20)
        await asyncio.sleep(COMMITTED_SECONDS)  # nothing can be committed: the first one waits
        worker.kill()
        slow.set()
        await restarted(worker)
        count = publish(await stage.settle(till), "20 of 21 were answered before the kill")
    nothing_lost(count)
    assert (len(mine), count.duplicated) == (21, 20)


@pytest.mark.parametrize("years", [pytest.param(-1, marks=pytest.mark.short), 1])
async def test_producers_with_impossible_clocks(stage: Stage, publish: Publish, years: int) -> None:
    """Producers whose clocks are a year slow or fast, while no worker runs and while one does."""
    (worker,) = await stage.started()
    wrong = now_ms() + years * _YEAR_MS
    async with stage.till() as till:
        await till.send(till.scans(50), timestamp_ms=wrong)
        await till.answers(50)
        await stopped(worker)
        await till.send(till.scans(50), timestamp_ms=wrong)
        began = time.time()
        # Retention is looked after twice a second here; what a till sent may not fall to it.
        await asyncio.sleep(4)
        await restarted(worker)
        count = await stage.settle(till)
        wait = till.ledger.longest_wait(till.client.seen, since=began - 1)
        publish(count, f"the longest wait without a worker was {wait:.0f} s")
        answers = till.client.seen.of(*ANSWERS)
    nothing_lost(count)
    assert count.duplicated == 0
    for answer in answers:
        for name in ("identified_at", "fetched_at"):
            assert iso_utc_ms(now_ms() - _DAY_MS) < answer[name] < iso_utc_ms(now_ms() + 60_000)
        assert answer["age_ms"] >= 0
