"""Dead letters as operators see them: address, source and reason. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NamedTuple

_ADDRESS: Final = re.compile(r"(?:([A-Za-z0-9._-]{1,249})/)?([0-9]{1,9})/([0-9]{1,18})")


class Address(NamedTuple):
    """Where a dead letter lies, written `PARTITION/OFFSET` or `TOPIC/PARTITION/OFFSET`."""

    partition: int
    offset: int
    #: The dead-letter topic; empty = the one of the default plugin.
    topic: str = ""

    def __str__(self) -> str:
        place = f"{self.partition}/{self.offset}"
        return f"{self.topic}/{place}" if self.topic else place

    @classmethod
    def parse(cls, text: str) -> "Address | None":
        """Read an address; None for any other text."""
        found = _ADDRESS.fullmatch(text)
        return None if found is None else cls(int(found[2]), int(found[3]), found[1] or "")


@dataclass(frozen=True, slots=True)
class Source:
    """Where a dead letter came from."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"

    @classmethod
    def of(cls, record: Any) -> "Source":
        """The place of a record of Kafka's."""
        return cls(record.topic, record.partition, record.offset)


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


@dataclass(frozen=True, slots=True)
class WholeLetter:
    """A dead letter with its key and value, as its message had them, and its headers."""

    letter: Letter
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class LetterList:
    """The newest letters that could be read, newest first."""

    letters: Sequence[Letter]
    #: Whether there are older ones.
    has_older: bool = False
    #: Why newer ones may be missing; None if none are.
    missing: str | None = None


@dataclass(frozen=True, slots=True)
class Prospect:
    """A letter that can be replayed."""

    address: Address
    #: Where it came from, and would go to.
    source: Source
    #: Where an earlier replay lies; None if there was none, or if that is not known.
    before: Source | None = None
    #: Whether every record was searched that could be an earlier replay.
    is_known: bool = True


class ReplayState(StrEnum):
    """What came of a replay."""

    #: A till has its answer.
    ANSWERED = "ANSWERED"
    #: It became a dead letter again.
    FAILED_AGAIN = "FAILED_AGAIN"
    #: The plugin has read it.
    READ = "READ"
    #: It waits in its topic.
    NOT_READ_YET = "NOT_READ_YET"


@dataclass(frozen=True, slots=True)
class Replay:
    """A replay of a letter, and what came of it."""

    #: Where the message was written.
    place: Source
    state: ReplayState
    #: Of its event, if the message can be read.
    event_id: str | None = None
    basket_id: str | None = None
    #: The answer in a word; empty if there is none.
    answer: str = ""
    #: The new dead letter.
    letter: Address | None = None

    def __str__(self) -> str:
        if self.state is ReplayState.FAILED_AGAIN:
            return f"failed again, as {self.letter}"
        told = self.state.lower().replace("_", " ") + (f" {self.answer}" if self.answer else "")
        of = "" if self.basket_id is None else f" of basket {self.basket_id}"
        return told if self.event_id is None else f"{told}: {self.event_id}{of}"


@dataclass(frozen=True, slots=True)
class Replays:
    """What came of the letters that were replayed; of each letter, the newest replay counts."""

    found: Mapping[Address, Replay]
    #: Whether every record was searched that could be a replay.
    is_known: bool = True


@dataclass(frozen=True, slots=True)
class Replayed:
    """A letter that was written once more; the broker has it."""

    address: Address
    place: Source


@dataclass(frozen=True, slots=True)
class NotReplayed:
    """A letter that was not written once more, and why."""

    address: Address
    why: str
