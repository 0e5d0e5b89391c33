"""Dead letters as Kafka records: written, read, judged for a replay, and described. No I/O."""

import re
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from posstream.dead_letters.letter import Address, Letter, Source, WholeLetter
from posstream.domain.errors import UnreadableEvent
from posstream.domain.payment_card import mask_payment_cards_in_bytes
from posstream.domain.times import clamp_ms
from posstream.events.envelope import FIRST_WRITTEN
from posstream.events.model import EventModel
from posstream.kafka.record import Record
from posstream.kafka.topics import APP_ID

if TYPE_CHECKING:
    from posstream.plugin import Plugin

#: The prefix of the names of posstream's own headers on a dead letter.
OWN_HEADERS: Final = "posstream.dlq."
#: On a replayed record: the address of its dead letter.
REPLAYED_FROM: Final = "posstream.dlq.replayed-from"
#: The header of a dead letter that was cut: how many bytes its value had.
_TRUNCATED: Final = "posstream.dlq.truncated"

#: A dead letter's longest key and value: a decompressed message can be larger than any that the
#: broker takes from us (`DEAD_LETTER_MAX_BYTES`).
MAX_DEAD_KEY: Final = 64 * 1024
MAX_DEAD_VALUE: Final = 1024 * 1024 + 512 * 1024
#: Bytes that are kept of the key and of the value of a dead letter that the broker refuses whole.
_SHORT: Final = 256

_INTERNAL: Final = f"{APP_ID}-"
_NUMBER: Final = re.compile(rb"[0-9]{1,18}")


def dead_letter(
    dead_letters: str, message: Any, *, timestamp_ms: int, error: UnreadableEvent
) -> Record:
    """The dead letter of a message, byte for byte but for masked payment-card numbers.

    A value larger than the topic takes is cut, and the header `posstream.dlq.truncated` says how
    many bytes it had.

    Args:
        dead_letters: the topic that the dead letter goes to.
        message: a record of Kafka's, from Faust or aiokafka.
        timestamp_ms: when the message was written.
        error: why it became a dead letter.
    """
    value = message.value
    if message.key is None and value is None:
        value = b""  # aiokafka's producer refuses a record without both
    size = len(value or b"")
    cut = ((_TRUNCATED, str(size).encode()),) if size > MAX_DEAD_VALUE else ()
    return Record(
        dead_letters,
        _masked(message.key, MAX_DEAD_KEY),
        _masked(value, MAX_DEAD_VALUE),
        (
            *cut,
            ("posstream.dlq.topic", message.topic.encode()),
            ("posstream.dlq.partition", str(message.partition).encode()),
            ("posstream.dlq.offset", str(message.offset).encode()),
            (FIRST_WRITTEN, str(timestamp_ms).encode()),
            ("posstream.dlq.reason", error.reason.encode()),
            ("posstream.dlq.error", str(error).encode()),
        ),
    )


def cut_short(letter: Record) -> Record:
    """A dead letter with only the beginning of its key and value; a header has the full length."""
    key, value, headers = letter.key, letter.value or b"", letter.headers
    if len(value) > _SHORT and not any(name == _TRUNCATED for name, _ in headers):
        headers = ((_TRUNCATED, str(len(value)).encode()), *headers)
    return Record(letter.topic, key and key[:_SHORT], letter.value and value[:_SHORT], headers)


def _masked(raw: bytes | None, most: int) -> bytes | None:
    # A card number across the cut must still be seen whole.
    return None if raw is None else mask_payment_cards_in_bytes(raw[: most + 128])[:most]


def read_letter(message: Any, default_topic: str) -> Letter:
    """Read a record of a dead-letter topic.

    Args:
        message: aiokafka's ConsumerRecord.
        default_topic: the dead-letter topic of the default plugin, which no address names.
    """
    said = {
        name.removeprefix(OWN_HEADERS): value or b""
        for name, value in message.headers
        if name.startswith(OWN_HEADERS)
    }
    partition, offset = _number(said.get("partition")), _number(said.get("offset"))
    topic = _text(said.get("topic"))
    timestamp = _number(said.get("timestamp"))
    return Letter(
        address=Address(
            message.partition,
            message.offset,
            "" if message.topic == default_topic else message.topic,
        ),
        source=(
            Source(topic, partition, offset)
            if topic and partition is not None and offset is not None
            else None
        ),
        timestamp_ms=clamp_ms(message.timestamp if timestamp is None else timestamp),
        reason=_text(said.get("reason")),
        error=_text(said.get("error")),
        size=None if message.value is None else len(message.value),
        size_before_cut=_number(said.get("truncated")),
    )


def read_whole_letter(message: Any, default_topic: str) -> WholeLetter:
    """Read a record of a dead-letter topic, with key, value and headers."""
    headers = tuple((name, value or b"") for name, value in message.headers)
    return WholeLetter(read_letter(message, default_topic), message.key, message.value, headers)


def why_not_replayed(
    letter: Letter, replayable: Sequence[str], partitions: Collection[int]
) -> str | None:
    """Why a letter cannot be replayed; None if it can.

    Args:
        letter: which.
        replayable: the topics to which its plugin lets dead letters be replayed.
        partitions: the partitions that its source topic has now.
    """
    source = letter.source
    if source is None:
        return "it does not say where it came from: posstream did not write it"
    if source.topic not in replayable:
        what = (
            "is internal" if source.topic.startswith(_INTERNAL) else "is not consumed by posstream"
        )
        return f"{source.topic} {what}; replays go to {' and '.join(replayable) or 'no topic'}"
    if source.partition not in partitions:
        return f"{source.topic} has no partition {source.partition}"
    if letter.size_before_cut is not None:
        return f"its value was cut: {letter.size} of {letter.size_before_cut} bytes are left"
    if letter.size is None:
        return "it has no value"
    return None


def replayed_from(headers: Iterable[tuple[str, bytes | None]]) -> Address | None:
    """The address of the dead letter that a record replays; None if the record is no replay."""
    for name, value in headers:
        if name == REPLAYED_FROM:
            return Address.parse(_text(value))
    return None


def dead_letter_event(plugin: "Plugin") -> EventModel:
    """The event on a plugin's topic of dead letters, described for others."""
    owner = "" if plugin.is_default else plugin.name.title().replace("_", "")
    names = ("topic", "partition", "offset", "timestamp", "reason", "error", "truncated")
    return EventModel(
        topic=plugin.dead_letters or "",
        name=f"{owner}DeadLetter",
        summary="A message that cannot be read: byte for byte as received, payment-card numbers "
        "masked.",
        model=None,
        example=None,
        headers=tuple(OWN_HEADERS + name for name in names),
    )


def _text(raw: bytes | None) -> str:
    return (raw or b"").decode(errors="backslashreplace")


def _number(raw: bytes | None) -> int | None:
    return int(raw) if raw is not None and _NUMBER.fullmatch(raw) else None
