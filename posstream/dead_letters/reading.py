"""Dead letters as their records tell of them, and which of them can be replayed. No I/O."""

import re
from collections.abc import Collection, Iterable
from typing import Any, Final

from agents.customer_lookup import topics
from posstream.dead_letters.letter import Address, Letter, Source, WholeLetter
from posstream.domain.times import clamp_ms
from posstream.kafka.topics import APP_ID

#: On a replayed record: the address of its dead letter.
REPLAYED_FROM: Final = "posstream.dlq.replayed-from"
#: What the names of our own headers on a dead letter start with.
OWN_HEADERS: Final = "posstream.dlq."

#: What posstream consumes of other services.
_REPLAYABLE: Final = (topics.CUSTOMER_IDENTIFIED, topics.CUSTOMER_UPDATED)
_INTERNAL: Final = f"{APP_ID}-"
_NUMBER: Final = re.compile(rb"[0-9]{1,18}")


def read_letter(message: Any) -> Letter:
    """Read a record (aiokafka's ConsumerRecord) of the topic of the dead letters."""
    said = {
        name.removeprefix(OWN_HEADERS): value or b""
        for name, value in message.headers
        if name.startswith(OWN_HEADERS)
    }
    partition, offset = _number(said.get("partition")), _number(said.get("offset"))
    topic = _text(said.get("topic"))
    timestamp = _number(said.get("timestamp"))
    return Letter(
        address=Address(message.partition, message.offset),
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


def read_whole_letter(message: Any) -> WholeLetter:
    """The same with key, value and headers."""
    headers = tuple((name, value or b"") for name, value in message.headers)
    return WholeLetter(read_letter(message), message.key, message.value, headers)


def why_not_replayed(letter: Letter, partitions: Collection[int]) -> str | None:
    """Why a letter cannot be replayed; None if it can.

    Args:
        letter: which.
        partitions: the partitions that its source topic has now.
    """
    source = letter.source
    if source is None:
        return "it does not say where it came from: posstream did not write it"
    if source.topic not in _REPLAYABLE:
        what = (
            "is internal" if source.topic.startswith(_INTERNAL) else "is not consumed by posstream"
        )
        return f"{source.topic} {what}; replays go to {' and '.join(_REPLAYABLE)}"
    if source.partition not in partitions:
        return f"{source.topic} has no partition {source.partition}"
    if letter.size_before_cut is not None:
        return f"its value was cut: {letter.size} of {letter.size_before_cut} bytes are left"
    if letter.size is None:
        return "it has no value"
    return None


def replayed_from(headers: Iterable[tuple[str, bytes | None]]) -> Address | None:
    """The address of the letter of which a record is a replay; None if it is none."""
    for name, value in headers:
        if name == REPLAYED_FROM:
            return Address.parse(_text(value))
    return None


def _text(raw: bytes | None) -> str:
    return (raw or b"").decode(errors="backslashreplace")


def _number(raw: bytes | None) -> int | None:
    return int(raw) if raw is not None and _NUMBER.fullmatch(raw) else None
