"""What is known of one basket, as the table keeps it: the events, each once. Pure."""

from typing import Final

import msgspec

from agents.baskets.basket import DEFAULT_PLACES
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


def too_large(most: int, of_what: str) -> UnreadableEvent:
    """The refusal of an event whose basket cannot have it, too."""
    return UnreadableEvent(
        DeadLetterReason.INVALID_FIELD, f"basket_id is that of a basket with {most:,} {of_what}"
    )


def encode(known: Known) -> bytes:
    """Give a basket as it is stored."""
    return _encode(known)


def pack(event: AnyEvent, packed: bytearray) -> None:
    """Append an event to others, as it is stored."""
    _encode_into(event, packed, -1)


def encode_packed(
    *, was_paid: bool, count: int, events: bytearray, places: int, counted_at_ms: int
) -> bytes:
    """Give what `encode` gives, for events that are packed already; they are not checked.

    Args:
        was_paid: as in `Known`.
        count: how many events there are.
        events: as `pack` wrote them, in their order.
        places: as in `Known`.
        counted_at_ms: as in `Known`.
    """
    known = _Packed(was_paid, msgspec.Raw(_array_of(count) + events), places, counted_at_ms)
    return _encode(known)


def _array_of(count: int) -> bytes:
    """The head of an array of at most 65,535 (MessagePack specification, array format family)."""
    return bytes((0x90 | count,)) if count < _FIX else b"\xdc" + count.to_bytes(2, "big")


class _Packed(msgspec.Struct, frozen=True, array_like=True):
    """`Known`, with events that are packed."""

    was_paid: bool
    events: msgspec.Raw
    places: int
    counted_at_ms: int


def decode(value: bytes | None) -> Known:
    """A stored value; nothing is known if there is none, or another version wrote it."""
    if value is None:
        return Known()
    try:
        return _decode(value)
    except UNDECODABLE:
        return Known()


#: A shorter array has its count in the first byte.
_FIX: Final = 16
_encode: Final = msgspec.msgpack.Encoder().encode
_encode_into: Final = msgspec.msgpack.Encoder().encode_into
_decode: Final = msgspec.msgpack.Decoder(Known).decode
