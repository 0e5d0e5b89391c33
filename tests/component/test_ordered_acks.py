"""Acks leave in offset order whatever the order of finishing (faust-streaming#606)."""

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


@dataclass
class Intake:
    paused: set[object] = field(default_factory=set)
    resumed: int = 0

    def pause(self, tp: object) -> None:
        self.paused.add(tp)

    def resume(self, tp: object) -> None:
        self.paused.discard(tp)
        self.resumed += 1


def events(acked: list[int], *offsets: int, generation: int = 1) -> list[Event]:
    return [Event(Message(offset, generation), acked) for offset in offsets]


async def test_an_event_behind_an_unfinished_one_is_not_acked() -> None:
    acks: Any = OrderedAcks(Intake())
    acked: list[int] = []
    slots = [acks.take(event) for event in events(acked, 0, 1, 2)]
    slots[2].finish()
    slots[1].finish()
    assert acked == []
    slots[0].finish()
    assert acked == [0, 1, 2]


async def test_events_of_an_older_generation_are_never_acked() -> None:
    acks: Any = OrderedAcks(Intake())
    acked: list[int] = []
    (old,) = [acks.take(event) for event in events(acked, 5)]
    (new,) = [acks.take(event) for event in events(acked, 5, generation=2)]
    old.finish()
    assert acked == []
    new.finish()
    assert acked == [5]


async def test_partitions_do_not_wait_for_each_other() -> None:
    acks: Any = OrderedAcks(Intake())
    acked: list[int] = []
    slow = Event(Message(0, tp=("t", 0)), acked)
    quick = Event(Message(7, tp=("t", 1)), acked)
    acks.take(slow)
    (acks.take(quick)).finish()
    assert acked == [7]


async def test_a_stuck_head_pauses_its_partition_and_no_other_and_loses_nothing() -> None:
    intake = Intake()
    acks: Any = OrderedAcks(intake)
    acked: list[int] = []
    slots = [acks.take(event) for event in events(acked, *range(WINDOW + 10))]
    assert intake.paused == {("t", 0)}
    elsewhere = acks.take(Event(Message(0, tp=("t", 1)), acked))
    for slot in slots[1:]:
        slot.finish()
    elsewhere.finish()
    assert acked == [0]
    assert intake.paused == {("t", 0)}
    slots[0].finish()
    assert intake.paused == set()
    assert acks.in_flight == 0


async def test_a_lane_of_an_older_generation_resumes_nothing() -> None:
    intake = Intake()
    acks: Any = OrderedAcks(intake)
    slots = [acks.take(event) for event in events([], *range(WINDOW))]
    acks.take(*events([], 0, generation=2))
    for slot in slots:
        slot.finish()
    assert intake.resumed == 0


async def test_an_event_that_is_delivered_twice_in_one_generation_is_taken_once() -> None:
    acks: Any = OrderedAcks(Intake())
    acked: list[int] = []
    first, again = events(acked, 3, 3)
    slot = acks.take(first)
    assert acks.take(again) is None
    slot.finish()
    assert acked == [3]


async def test_an_event_that_was_left_out_and_comes_later_is_taken() -> None:
    acks: Any = OrderedAcks(Intake())
    acked: list[int] = []
    taken = [acks.take(event) for event in events(acked, 5, 6, 3, 4, 3, 5, 7)]
    assert [slot is not None for slot in taken] == [True, True, True, True, False, False, True]


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
