"""Acks leave in offset order whatever the order of finishing (faust-streaming#606)."""

import asyncio
from dataclasses import dataclass, field

from posstream.streaming.ordered_acks import WINDOW, OrderedAcks


@dataclass
class Message:
    offset: int
    generation_id: int = 1
    tp: tuple[str, int] = ("t", 0)


@dataclass
class Event:
    message: Message
    acked: list[int] = field(default_factory=list)

    def ack(self) -> None:
        self.acked.append(self.message.offset)


def events(acked: list[int], *offsets: int, generation: int = 1) -> list[Event]:
    return [Event(Message(offset, generation), acked) for offset in offsets]


async def test_an_event_behind_an_unfinished_one_is_not_acked() -> None:
    acks, acked = OrderedAcks(), []
    slots = [await acks.take(event) for event in events(acked, 0, 1, 2)]
    slots[2].finish()
    slots[1].finish()
    assert acked == []
    slots[0].finish()
    assert acked == [0, 1, 2]


async def test_events_of_an_older_generation_are_never_acked() -> None:
    acks, acked = OrderedAcks(), []
    (old,) = [await acks.take(event) for event in events(acked, 5)]
    (new,) = [await acks.take(event) for event in events(acked, 5, generation=2)]
    old.finish()
    assert acked == []
    new.finish()
    assert acked == [5]


async def test_partitions_do_not_wait_for_each_other() -> None:
    acks, acked = OrderedAcks(), []
    slow = Event(Message(0, tp=("t", 0)), acked)
    quick = Event(Message(7, tp=("t", 1)), acked)
    await acks.take(slow)
    (await acks.take(quick)).finish()
    assert acked == [7]


async def test_a_stuck_head_stops_the_intake_of_its_partition_until_it_is_finished() -> None:
    acks, acked = OrderedAcks(), []
    slots = [await acks.take(event) for event in events(acked, *range(WINDOW))]
    blocked = asyncio.ensure_future(acks.take(*events(acked, WINDOW)))
    for slot in slots[1:]:
        slot.finish()
    await asyncio.sleep(0)
    assert not blocked.done()
    slots[0].finish()
    await blocked
    assert acks.in_flight == 1
