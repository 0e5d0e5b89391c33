"""Reads replayed messages of tills as the agent does."""

from typing import Any

from agents.baskets.events.reading import Place, read_till_event
from posstream.dead_letters.part import Told


def read(message: Any, topic: str, card_guard: bool) -> Told:  # noqa: FBT001 - as `ReplayPart` has it
    """Read a message of `pos-events`.

    Raises:
        UnreadableEvent: if it is none.
    """
    at = Place(topic, message.partition, message.offset, message.timestamp, message.headers)
    told = read_till_event(message.value, at, card_guard=card_guard)
    return Told(at.id_of(None)) if told is None else Told(told.event.event_id, told.basket_id)
