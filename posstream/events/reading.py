"""Reads events of others: a value that cannot be read is refused with the field named."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

from posstream.domain.errors import DeadLetterReason, UnreadableEvent
from posstream.domain.payment_card import holds_payment_card
from posstream.domain.printable import is_id
from posstream.domain.times import parse_utc, to_ms
from posstream.json.reading import read_json, whole_number

#: Largest `customer-identified` that is read: real ones are under 1 KB.
MAX_EVENT_BYTES: Final = 64 * 1024


#: Longest id on a topic; SQL columns are made for it.
MAX_ID_LENGTH: Final = 256


_HOLDS_CARD: Final = "holds a payment-card number"


def read_event(
    value: bytes | None,
    *,
    most: int = MAX_EVENT_BYTES,
    read: Callable[[bytes], Any] = read_json,
) -> dict[str, Any]:
    """The JSON object of a message.

    Args:
        value: the message as received.
        most: bytes; a longer message is refused.
        read: reads JSON.

    Raises:
        UnreadableEvent: saying what is wrong with the message.
    """
    if value is None:
        raise UnreadableEvent(DeadLetterReason.TOMBSTONE, "the message has no value")
    if len(value) > most:
        raise UnreadableEvent(
            DeadLetterReason.TOO_LARGE, f"the message has {len(value)} bytes, more than {most}"
        )
    try:
        event = read(value)
    except orjson.JSONEncodeError as why:
        raise UnreadableEvent(DeadLetterReason.NOT_JSON, "the message is nested too deep") from why
    except orjson.JSONDecodeError as why:
        if not value.strip():
            raise UnreadableEvent(DeadLetterReason.EMPTY, "the message is empty") from why
        try:
            value.decode()
        except UnicodeDecodeError:
            raise UnreadableEvent(DeadLetterReason.NOT_UTF8, "the message is not UTF-8") from why
        raise UnreadableEvent(
            DeadLetterReason.NOT_JSON, f"the message is not JSON (at character {why.pos})"
        ) from why
    if not isinstance(event, dict):
        raise UnreadableEvent(
            DeadLetterReason.NOT_AN_OBJECT, "the message is JSON, but not an object"
        )
    return event


def read_id(
    event: Mapping[str, Any],
    name: str,
    *,
    required: bool = False,
    numbers: bool = False,
    card_guard: bool = False,
) -> str | None:
    """An id in a field; None if the field is absent.

    Args:
        event: the message.
        name: the field.
        required: refuse an absent field.
        numbers: take whole numbers, too.
        card_guard: refuse payment-card numbers.

    Raises:
        UnreadableEvent: naming the field.
    """
    value = event.get(name)
    if value is None:
        if required:
            raise missing(name)
        return None
    if numbers and (whole := whole_number(value)) is not None:
        value = str(whole)
    if not isinstance(value, str):
        raise invalid(name, "must be text")
    if not is_id(value, MAX_ID_LENGTH):
        raise invalid(name, f"must be 1 to {MAX_ID_LENGTH} printable characters")
    if card_guard and holds_payment_card(value):
        raise invalid(name, _HOLDS_CARD)
    return value


def read_moment_ms(event: Mapping[str, Any], name: str) -> int | None:
    """A field's time; None if it has none that can be read."""
    moment = parse_utc(event.get(name))
    return None if moment is None else to_ms(moment)


def missing(name: str) -> UnreadableEvent:
    """The refusal of a message without a field."""
    return UnreadableEvent(DeadLetterReason.MISSING_FIELD, f"{name} is missing")


def invalid(name: str, why: str) -> UnreadableEvent:
    """The refusal of a message with an unusable field."""
    return UnreadableEvent(DeadLetterReason.INVALID_FIELD, f"{name} {why}")
