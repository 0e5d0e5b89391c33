"""What is known of one basket, as the table keeps it: the events, each once. Pure."""

from collections.abc import Collection, Iterator
from itertools import takewhile
from typing import Final

import msgspec
from msgspec.structs import replace

from agents.baskets.basket import DEFAULT_PLACES
from agents.baskets.fold import is_repeat
from agents.baskets.till_events import AnyEvent
from posstream.domain.errors import DeadLetterReason, UnreadableEvent
from posstream.json.undecodable import UNDECODABLE

#: A basket has some fifty events. A till that never begins a new one must not make each of its
#: events slower than the one before.
MOST_EVENTS: Final = 2_000
#: Brokers refuse a message of 1 MiB, and the agent must not stop at one.
MOST_BYTES: Final = 1_000_000


class Known(msgspec.Struct, frozen=True, array_like=True):
    """The different events of one basket, in the order in which they came."""

    #: Whether it was ever paid: whatever comes later is then told, too.
    was_paid: bool = False
    events: tuple[AnyEvent, ...] = ()
    #: To which the price of a weighed item was rounded: the read model knows no configuration.
    places: int = DEFAULT_PLACES

    #: When the last of them was counted here, in ms since 1970: a worker that was away for days
    #: reads old ones, and their basket must not leave before its other events were read.
    counted_at_ms: int = 0


def with_event(known: Known, event: AnyEvent) -> Known:
    """What is known once an event came; the same value if it was known before.

    Two events under one id are both kept: they are not told under one revision then.

    Raises:
        UnreadableEvent: if the basket has too many events.
    """
    if any(is_repeat(event, it) for it in known.events):
        return known
    if len(known.events) >= MOST_EVENTS:
        raise too_large(MOST_EVENTS, "events")
    return replace(known, events=(*known.events, event))


def too_large(most: int, of_what: str) -> UnreadableEvent:
    """The refusal of an event whose basket cannot have it, too."""
    return UnreadableEvent(
        DeadLetterReason.INVALID_FIELD, f"basket_id is that of a basket with {most:,} {of_what}"
    )


def earlier(known: Known, event: AnyEvent) -> Iterator[AnyEvent]:
    """The events that came before the first delivery of one of them."""
    return takewhile(lambda it: not is_repeat(event, it), known.events)


def changed_by(known: Known, event: AnyEvent) -> Collection[str]:
    """The ids of the events that one event changed what is known at: its own, and the earlier ones.

    Only those that came before it: at the later ones, it was known.
    """
    return {event.event_id, *(it.event_id for it in earlier(known, event))}


def encode(known: Known) -> bytes:
    """As it is stored."""
    return msgspec.msgpack.encode(known)


def decode(value: bytes | None) -> Known:
    """A stored value; nothing is known if there is none, or another version wrote it."""
    if value is None:
        return Known()
    try:
        return _decode(value)
    except UNDECODABLE:
        return Known()


_decode: Final = msgspec.msgpack.Decoder(Known).decode
