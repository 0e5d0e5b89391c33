"""What is written on a topic of dead letters. No I/O."""

from typing import Final

from agents.customer_lookup import topics
from posstream.domain.errors import UnreadableEvent
from posstream.domain.payment_card import mask_payment_cards_in_bytes
from posstream.events.envelope import FIRST_WRITTEN
from posstream.kafka.record import Record

#: A dead letter's longest key and value: a decompressed message can be larger than any that the
#: broker takes from us (`DEAD_LETTER_MAX_BYTES`).
MAX_DEAD_KEY: Final = 64 * 1024


MAX_DEAD_VALUE: Final = 1024 * 1024 + 512 * 1024


#: Bytes that are kept of the key and of the value of a dead letter that the broker refuses whole.
_SHORT: Final = 256


#: The header of a dead letter that was cut: how many bytes its value had.
_TRUNCATED: Final = "posstream.dlq.truncated"


def dead_letter(  # noqa: PLR0913 - a message is its bytes and its coordinates
    key: bytes | None,
    value: bytes | None,
    *,
    topic: str,
    partition: int,
    offset: int,
    timestamp_ms: int,
    error: UnreadableEvent,
) -> Record:
    """A message that cannot be read, byte for byte but for masked payment-card numbers.

    A larger one than the topic takes is cut, and the header `posstream.dlq.truncated` says how
    many bytes it had.
    """
    if key is None and value is None:
        value = b""  # aiokafka's producer refuses a record without both
    size = len(value or b"")
    cut = ((_TRUNCATED, str(size).encode()),) if size > MAX_DEAD_VALUE else ()
    return Record(
        topics.DEAD_LETTERS,
        _masked(key, MAX_DEAD_KEY),
        _masked(value, MAX_DEAD_VALUE),
        (
            *cut,
            ("posstream.dlq.topic", topic.encode()),
            ("posstream.dlq.partition", str(partition).encode()),
            ("posstream.dlq.offset", str(offset).encode()),
            (FIRST_WRITTEN, str(timestamp_ms).encode()),
            ("posstream.dlq.reason", error.reason.encode()),
            ("posstream.dlq.error", str(error).encode()),
        ),
    )


def cut_short(letter: Record) -> Record:
    """A dead letter cut to the beginning of its key and value; a header tells the full length."""
    key, value, headers = letter.key, letter.value or b"", letter.headers
    if len(value) > _SHORT and not any(name == _TRUNCATED for name, _ in headers):
        headers = ((_TRUNCATED, str(len(value)).encode()), *headers)
    return Record(letter.topic, key and key[:_SHORT], letter.value and value[:_SHORT], headers)


def _masked(raw: bytes | None, most: int) -> bytes | None:
    # A card number across the cut must still be seen whole.
    return None if raw is None else mask_payment_cards_in_bytes(raw[: most + 128])[:most]
