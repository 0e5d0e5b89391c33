"""Dead letters as an operator meets them: where one lies, where it came from, and why. No I/O."""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, NamedTuple

from posstream import topics
from posstream.domain.times import clamp_ms, parse_utc, to_ms

#: On a replayed record: the address of its dead letter.
REPLAYED_FROM: Final = "posstream.dlq.replayed-from"

#: What posstream consumes of other services.
_REPLAYABLE: Final = (topics.CUSTOMER_IDENTIFIED, topics.CUSTOMER_UPDATED)
_INTERNAL: Final = f"{topics.APP_ID}-"
_PREFIX: Final = "posstream.dlq."
_ADDRESS: Final = re.compile(r"([0-9]{1,9})/([0-9]{1,18})")
_NUMBER: Final = re.compile(rb"[0-9]{1,18}")
_DURATION: Final = re.compile(r"([0-9]{1,6})([smhd])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class Address(NamedTuple):
    """Where a dead letter lies on the topic of the dead letters, written `PARTITION/OFFSET`."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}/{self.offset}"

    @classmethod
    def parse(cls, text: str) -> "Address | None":
        """Read one; None if it is none."""
        found = _ADDRESS.fullmatch(text)
        return None if found is None else cls(int(found[1]), int(found[2]))


@dataclass(frozen=True, slots=True)
class Source:
    """Where a dead letter came from."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"


@dataclass(frozen=True, slots=True)
class Letter:
    """What a dead letter says of itself; not its key and value."""

    address: Address
    #: None if its headers do not say: somebody else wrote it.
    source: Source | None
    #: When the message was written, in milliseconds since 1970.
    timestamp_ms: int
    reason: str
    error: str
    #: Bytes of its value; None if it has no value.
    size: int | None
    #: Bytes of the value before it was cut; None if it is whole.
    size_before_cut: int | None


def read_letter(message: Any) -> Letter:
    """Read a record (aiokafka's ConsumerRecord) of the topic of the dead letters."""
    said = {
        name.removeprefix(_PREFIX): value or b""
        for name, value in message.headers
        if name.startswith(_PREFIX)
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


def parse_since(text: str, now_ms: int) -> int | None:
    """Read a moment, in milliseconds since 1970: ISO-8601, or how long ago, like `90s` or `2h`.

    Returns:
        None if it is neither.
    """
    ago = _DURATION.fullmatch(text)
    if ago is not None:
        length = timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        return now_ms - length // timedelta(milliseconds=1)
    moment = parse_utc(text)
    return None if moment is None else to_ms(moment)


def _text(raw: bytes | None) -> str:
    return (raw or b"").decode(errors="backslashreplace")


def _number(raw: bytes | None) -> int | None:
    return int(raw) if raw is not None and _NUMBER.fullmatch(raw) else None
