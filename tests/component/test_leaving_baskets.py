"""Baskets leave the table some hours after their last event was counted."""

import asyncio
from typing import Any

import pytest

from agents.baskets.known import Known, encode
from agents.baskets.leaving import LeavingBaskets
from agents.baskets.till_events import AnyEvent, Finalized, ItemAdded, PaymentCompleted, Voided
from posstream.configuration.version import ConfigurationVersion
from posstream.domain.errors import StorageFailed
from posstream.domain.money import ONE
from tests.component.basket_fakes import PARTITIONS, Counter, KeptBaskets, at_home
from tests.manual_clock import ManualClock

HOUR = 3_600
ITEM = ItemAdded(1, "e1", 1, None, None, "i", "p", ONE, ONE)
OPEN, PAID, VOIDED, FINALIZED = (
    (ITEM,),
    (ITEM, PaymentCompleted(2, "e2", 2, None, None, "pay", ONE)),
    (ITEM, Voided(2, "e2", 2, None, None)),
    (ITEM, Finalized(2, "e2", 2, None, None)),
)


class Shop:
    """A table with baskets, and what takes them out."""

    def __init__(self) -> None:
        self.table, self.clock = KeptBaskets(), ManualClock()
        self.counter = Counter(self.table, self.clock, keep_open_hours=2, keep_closed_hours=5)
        self.leaving = LeavingBaskets(
            table=self.table,  # type: ignore[arg-type]
            configuration=self.counter.configuration,
            clock=self.clock,  # type: ignore[arg-type]
            metrics=self.counter.metrics,
            oldest_at=lambda: self.oldest_at,
        )
        #: When the oldest event was written that waits.
        self.oldest_at: float | None = None
        self.clock.advance(60)  # after the start

    def keep(self, basket_id: str, events: tuple[AnyEvent, ...]) -> None:
        """Put a basket in, whose last event was counted now; its events are from 1970."""
        known = Known(events=events, counted_at_ms=self.clock.now_ms())
        self.table.stores[at_home(basket_id)][basket_id.encode()] = encode(known)

    async def look(self, times: int = PARTITIONS) -> set[str]:
        """The baskets that are left after some looks."""
        for _ in range(times):
            await self.leaving.look()
        return set(self.table.kept)

    def left(self, why: str) -> float:
        return self.counter.counted("baskets_left_total", why=why)


@pytest.mark.parametrize(
    ("events", "hours", "why"),
    [
        (OPEN, 2, "abandoned"),
        (FINALIZED, 2, "abandoned"),
        (PAID, 5, "closed"),
        (VOIDED, 5, "closed"),
    ],
)
async def test_a_basket_leaves_after_the_hours_of_its_status(
    events: Any, hours: int, why: str
) -> None:
    shop = Shop()
    shop.keep("b", events)
    shop.clock.advance(hours * HOUR - 1)
    assert await shop.look() == {"b"}
    shop.clock.advance(1)
    assert await shop.look() == set()
    assert shop.table.tombstones == [(at_home("b"), b"b")]
    assert {it: shop.left(it) for it in ("abandoned", "closed")} == {
        "abandoned": 0,
        "closed": 0,
        why: 1,
    }


async def test_an_event_that_is_counted_late_keeps_its_basket() -> None:
    """A worker that was away for days counts old events; the others of the basket come next."""
    shop = Shop()
    shop.keep("b", OPEN)
    shop.clock.advance(2 * HOUR)
    shop.keep("b", FINALIZED)
    assert await shop.look() == {"b"}


async def test_many_baskets_leave_a_slice_at_a_time_and_none_is_left_out() -> None:
    shop = Shop()
    names = [f"b{number}" for number in range(900)]
    for name in names:
        shop.keep(name, OPEN)
    shop.clock.advance(2 * HOUR)
    for name in names[::3]:
        shop.keep(name, OPEN)
    assert len(await shop.look(1)) >= 800
    await shop.look(20)
    assert set(shop.table.kept) == set(names[::3])
    assert shop.left("abandoned") == 600
    assert shop.counter.counted("baskets_kept") == 300


async def test_the_baskets_of_other_workers_and_of_a_frozen_table_stay() -> None:
    shop = Shop()
    shop.keep("b", OPEN)
    shop.clock.advance(9 * HOUR)
    shop.table.owned.discard(at_home("b"))
    assert await shop.look() == {"b"}
    shop.table.owned.add(at_home("b"))
    shop.table.recovered = False
    assert await shop.look() == {"b"}
    shop.table.recovered = True
    shop.table.co_partitioning.is_frozen = True
    assert await shop.look() == {"b"}
    shop.table.co_partitioning.is_frozen = False
    assert await shop.look() == set()


async def test_a_full_disk_lets_baskets_leave_later() -> None:
    shop = Shop()
    shop.keep("b", OPEN)
    shop.clock.advance(9 * HOUR)
    remove = shop.table.remove_at

    def full(*_: object) -> bool:
        raise StorageFailed("the disk is full")

    shop.table.remove_at = full  # type: ignore[method-assign]
    assert await shop.look() == {"b"}
    shop.table.remove_at = remove  # type: ignore[method-assign]
    assert await shop.look() == set()


async def test_each_look_waits_for_its_tombstones() -> None:
    shop = Shop()
    flushed = asyncio.Event()

    async def flush() -> None:
        await flushed.wait()

    shop.table.flush = flush  # type: ignore[method-assign]
    looking = asyncio.ensure_future(shop.leaving.look())
    await asyncio.sleep(0)
    assert not looking.done()
    flushed.set()
    await looking


async def test_no_basket_leaves_while_the_plugin_is_switched_off() -> None:
    """Its events wait in their topics."""
    shop = Shop()
    shop.keep("b", OPEN)
    shop.clock.advance(2 * HOUR)
    shop.counter.configuration.put_in_force(ConfigurationVersion(version=1, enabled=False))
    assert await shop.look() == {"b"}
    shop.counter.configuration.put_in_force(ConfigurationVersion(version=2))
    assert await shop.look() == {"b"}, "what waited is read first"
    shop.clock.advance(60)
    assert await shop.look() == set()


async def test_nothing_leaves_before_a_minute_passed_without_a_backlog() -> None:
    """The worker was away, or the plugin off: a basket's payment may be among what waits."""
    shop = Shop()
    shop.keep("b", OPEN)
    shop.clock.advance(9 * HOUR)
    shop.oldest_at = shop.clock.now_ms() / 1000 - HOUR
    assert await shop.look() == {"b"}
    shop.oldest_at = shop.clock.now_ms() / 1000  # those of now are always there
    shop.clock.advance(59)
    assert await shop.look() == {"b"}
    shop.clock.advance(1)
    assert await shop.look() == set()
