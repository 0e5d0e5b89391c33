"""What a worker reports of itself every few seconds: the record on its topic. No I/O.

It names no customer: the codes of the findings say what is wrong.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from posstream.domain.times import parse_utc, to_ms
from posstream.kafka.record import Record
from posstream.kafka.topics import WORKERS

#: Seconds between two heartbeats of a worker.
BEAT_SECONDS: Final = 5.0
#: A worker that says nothing for this long, and did not say that it stops, is lost.
LOST_SECONDS: Final = 20.0
#: The others stop looking for a worker that is lost for this long.
FORGOTTEN_SECONDS: Final = 86_400.0

_Text = Annotated[str, Meta(min_length=1, max_length=256)]
_Count = Annotated[int, Meta(ge=0)]


class Share(Struct, frozen=True, kw_only=True):
    """What a worker has of one topic for one plugin."""

    plugin: _Text
    topic: _Text
    partitions: tuple[_Count, ...]
    #: Events in these partitions that are not finished.
    lag: _Count


class ControlState(Struct, frozen=True, kw_only=True):
    """How something stands that operators may work by hand, such as a breaker."""

    plugin: _Text
    name: _Text
    #: In words.
    state: _Text


class Heartbeat(Struct, frozen=True, kw_only=True):
    """One worker at one moment."""

    #: The worker's name, which its data directory keeps: the key of its records.
    worker: _Text
    #: Host and port of its web view, as people and the log name it.
    address: _Text
    version: _Text
    started_at: str
    shares: tuple[Share, ...] = ()
    #: Plugin -> the version of its configuration that is in force.
    configurations: Mapping[str, int] = {}
    controls: tuple[ControlState, ...] = ()
    #: The codes of what is wrong, worst first; notes are left out.
    findings: tuple[str, ...] = ()

    @property
    def started_at_ms(self) -> int:
        """When its process began: ms since 1970."""
        started_at = parse_utc(self.started_at)
        return 0 if started_at is None else to_ms(started_at)

    @property
    def lag(self) -> int:
        """Events that are not finished, of all plugins together."""
        return sum(share.lag for share in self.shares)

    @property
    def partitions(self) -> int:
        """Partitions that it has, of all plugins together."""
        return sum(len(share.partitions) for share in self.shares)

    def document(self) -> dict[str, Any]:
        """All of it, ready for JSON."""
        document: dict[str, Any] = msgspec.to_builtins(self)
        return document | {"lag": self.lag, "partitions": self.partitions}


def heartbeat_record(beat: Heartbeat) -> Record:
    """A heartbeat for the topic: compacted, so the newest one of each worker is kept."""
    return Record(WORKERS, beat.worker.encode(), msgspec.json.encode(beat), partition=0)


def farewell(worker: str) -> Record:
    """The tombstone of a worker that has stopped in order."""
    return Record(WORKERS, worker.encode(), None, partition=0)


def read_heartbeat(value: bytes) -> Heartbeat | None:
    """The heartbeat in a record; None if the record holds none."""
    try:
        beat = msgspec.json.decode(value, type=Heartbeat)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return None if parse_utc(beat.started_at) is None else beat
