"""The records of the internal topic of outage drills <-> drills. No I/O."""

from typing import Any, Final

import orjson

from agents.customer_lookup.drills.drill import MAX_MILLISECONDS, MAX_MINUTES, Drill, Fault
from agents.customer_lookup.topics import OUTAGE_DRILLS
from posstream.domain.times import iso_utc_ms, parse_utc, to_ms
from posstream.kafka.record import Record

_KEY: Final = b"outage-drill"
_LONGEST_MS: Final = MAX_MINUTES * 60_000


def drill_record(drill: Drill) -> Record:
    """A drill for the topic: compacted, one key, so the newest one is kept."""
    value = orjson.dumps(
        {
            "fault": drill.fault,
            "percent": drill.percent,
            "milliseconds": drill.milliseconds,
            "started_at": iso_utc_ms(drill.started_at_ms),
            "ends_at": iso_utc_ms(drill.ends_at_ms),
            "started_by": drill.started_by,
            "stopped_by": drill.stopped_by,
        }
    )
    return Record(OUTAGE_DRILLS, _KEY, value, partition=0)


def read_drill(value: bytes) -> Drill | None:
    """The drill in a record; None if it is none, or one that could not have been planned."""
    try:
        record = orjson.loads(value)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(record, dict) or record.get("fault") not in Fault.__members__:
        return None
    percent = _whole(record, "percent", 1, 100)
    milliseconds = _whole(record, "milliseconds", 0, MAX_MILLISECONDS)
    started_at_ms, ends_at_ms = _ms(record, "started_at"), _ms(record, "ends_at")
    started_by, stopped_by = record.get("started_by"), record.get("stopped_by")
    if (
        percent is None
        or milliseconds is None
        or started_at_ms is None
        or ends_at_ms is None
        or not 0 <= ends_at_ms - started_at_ms <= _LONGEST_MS
        or not isinstance(started_by, str)
        or not isinstance(stopped_by, str | None)
    ):
        return None
    return Drill(
        fault=Fault(record["fault"]),
        percent=percent,
        milliseconds=milliseconds,
        started_at_ms=started_at_ms,
        ends_at_ms=ends_at_ms,
        started_by=started_by,
        stopped_by=stopped_by,
    )


def _whole(record: dict[str, Any], key: str, lowest: int, highest: int) -> int | None:
    value = record.get(key)
    return value if type(value) is int and lowest <= value <= highest else None


def _ms(record: dict[str, Any], key: str) -> int | None:
    moment = parse_utc(record.get(key))
    return None if moment is None else to_ms(moment)
