"""Acks leave in offset order whatever the order of finishing (faust-streaming#606)."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from posstream.streaming.app import StreamingApp
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
    acks: Any = OrderedAcks()
    acked: list[int] = []
    slots = [await acks.take(event) for event in events(acked, 0, 1, 2)]
    slots[2].finish()
    slots[1].finish()
    assert acked == []
    slots[0].finish()
    assert acked == [0, 1, 2]


async def test_events_of_an_older_generation_are_never_acked() -> None:
    acks: Any = OrderedAcks()
    acked: list[int] = []
    (old,) = [await acks.take(event) for event in events(acked, 5)]
    (new,) = [await acks.take(event) for event in events(acked, 5, generation=2)]
    old.finish()
    assert acked == []
    new.finish()
    assert acked == [5]


async def test_partitions_do_not_wait_for_each_other() -> None:
    acks: Any = OrderedAcks()
    acked: list[int] = []
    slow = Event(Message(0, tp=("t", 0)), acked)
    quick = Event(Message(7, tp=("t", 1)), acked)
    await acks.take(slow)
    (await acks.take(quick)).finish()
    assert acked == [7]


async def test_a_stuck_head_stops_the_intake_of_its_partition_until_it_is_finished() -> None:
    acks: Any = OrderedAcks()
    acked: list[int] = []
    slots = [await acks.take(event) for event in events(acked, *range(WINDOW))]
    blocked = asyncio.ensure_future(acks.take(*events(acked, WINDOW)))
    for slot in slots[1:]:
        slot.finish()
    await asyncio.sleep(0)
    assert not blocked.done()
    slots[0].finish()
    await blocked
    assert acks.in_flight == 1


async def test_an_event_that_is_delivered_twice_in_one_generation_is_taken_once() -> None:
    acks: Any = OrderedAcks()
    acked: list[int] = []
    first, again = events(acked, 3, 3)
    slot = await acks.take(first)
    assert await acks.take(again) is None
    slot.finish()
    assert acked == [3]


async def test_resuming_the_flow_keeps_an_event_that_came_while_it_was_resumed(
    tmp_path: Path,
) -> None:
    app = StreamingApp("test", broker="kafka://127.0.0.1:1", datadir=tmp_path, partitions=1)
    buffer = app.FlowControlQueue(maxsize=10, clear_on_resume=True)
    app.flow_control.resume()
    buffer.put_nowait("the event at the committed offset")
    app.flow_control.resume()
    assert buffer.qsize() == 1
    app.flow_control.clear()
    assert buffer.qsize() == 0
