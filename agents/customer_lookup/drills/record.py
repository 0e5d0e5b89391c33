"""Writes and reads the records of the internal topic of outage drills. No I/O."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from agents.customer_lookup.drills.drill import MAX_MILLISECONDS, MAX_MINUTES, Drill, Fault
from agents.customer_lookup.topics import OUTAGE_DRILLS
from posstream.domain.times import iso_utc_ms, parse_utc, to_ms
from posstream.kafka.record import Record

_KEY: Final = b"outage-drill"
_LONGEST_MS: Final = MAX_MINUTES * 60_000


class _Record(Struct):
    fault: Fault
    percent: Annotated[int, Meta(ge=1, le=100)]
    milliseconds: Annotated[int, Meta(ge=0, le=MAX_MILLISECONDS)]
    started_at: str
    ends_at: str
    started_by: str
    stopped_by: str | None = None


def drill_record(drill: Drill) -> Record:
    """A drill for the topic: compacted, one key, so the newest one is kept."""
    record = _Record(
        fault=drill.fault,
        percent=drill.percent,
        milliseconds=drill.milliseconds,
        started_at=iso_utc_ms(drill.started_at_ms),
        ends_at=iso_utc_ms(drill.ends_at_ms),
        started_by=drill.started_by,
        stopped_by=drill.stopped_by,
    )
    return Record(OUTAGE_DRILLS, _KEY, msgspec.json.encode(record), partition=0)


def read_drill(value: bytes) -> Drill | None:
    """The drill in a record; None if the record holds none that could have been planned."""
    try:
        record = msgspec.json.decode(value, type=_Record)
    except (msgspec.MsgspecError, ValueError):
        return None
    started_at, ends_at = parse_utc(record.started_at), parse_utc(record.ends_at)
    if started_at is None or ends_at is None:
        return None
    started_at_ms, ends_at_ms = to_ms(started_at), to_ms(ends_at)
    if not 0 <= ends_at_ms - started_at_ms <= _LONGEST_MS:
        return None
    return Drill(
        fault=record.fault,
        percent=record.percent,
        milliseconds=record.milliseconds,
        started_at_ms=started_at_ms,
        ends_at_ms=ends_at_ms,
        started_by=record.started_by,
        stopped_by=record.stopped_by,
    )
