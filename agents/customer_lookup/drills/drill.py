"""An outage drill: which calls to the directory fail, how, and until when; its record. No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from agents.customer_lookup.topics import OUTAGE_DRILLS
from posstream.domain.times import iso_utc_ms, parse_utc, to_ms
from posstream.kafka.record import Record

#: A forgotten drill must not become an outage.
MAX_MINUTES: Final = 60
MAX_MILLISECONDS: Final = 60_000
#: The beginning of the error message of an attempt that a drill changed.
DRILL_MARK: Final = "drill: "
_MINUTE_MS: Final = 60_000
_KEY: Final = b"outage-drill"
#: What a drill and its record have in common: all but the times.
_SHARED: Final = ("fault", "percent", "milliseconds", "started_by", "stopped_by")


class Fault(StrEnum):
    """What happens to a call that is struck."""

    LATENCY = "LATENCY"
    ERRORS = "ERRORS"
    TIMEOUTS = "TIMEOUTS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Drill:
    """One drill. It expires by itself on every worker, also on one that starts meanwhile."""

    fault: Fault
    #: The share of calls that it strikes, 1 to 100 percent.
    percent: int
    #: How much later a call begins; for `LATENCY` only.
    milliseconds: int = 0
    started_at_ms: int
    ends_at_ms: int
    started_by: str
    #: The operator who ended the drill early.
    stopped_by: str | None = None

    def is_over(self, now_ms: int) -> bool:
        """Whether the drill is over: its time has passed, or an operator ended it."""
        return self.stopped_by is not None or now_ms >= self.ends_at_ms

    def runs(self, now_ms: int) -> bool:
        """Whether the drill runs; never longer than planned, however wrong a worker's clock is."""
        return self.started_at_ms <= now_ms and not self.is_over(now_ms)

    def strikes(self, now_ms: int, chance: float) -> bool:
        """Whether the drill strikes a call.

        Args:
            now_ms: ms since 1970.
            chance: drawn for this call, from 0 up to but not including 1.
        """
        return self.runs(now_ms) and chance * 100 < self.percent


@dataclass(frozen=True, slots=True)
class InvalidDrill:
    """What is wrong with the plan of a drill, by the name of its field."""

    errors: Mapping[str, str]


def plan_drill(  # noqa: PLR0913 - one for each field
    *, fault: str, percent: object, milliseconds: object, minutes: object, now_ms: int, by: str
) -> Drill | InvalidDrill:
    """A drill that begins now, or all that is wrong with it.

    Args:
        fault: the name of a `Fault`.
        percent: 1 to 100.
        milliseconds: 1 to 60,000; looked at for `LATENCY` only.
        minutes: 1 to 60.
        now_ms: ms since 1970.
        by: who starts it.
    """
    errors: dict[str, str] = {}

    def whole(name: str, value: object, highest: int) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= highest:
            errors[name] = f"must be a whole number from 1 to {highest}"
            return 0
        return value

    if fault not in Fault.__members__:
        errors["fault"] = f"must be one of {', '.join(Fault)}"
    share = whole("percent", percent, 100)
    slow = fault == Fault.LATENCY
    late_ms = whole("milliseconds", milliseconds, MAX_MILLISECONDS) if slow else 0
    length = whole("minutes", minutes, MAX_MINUTES)
    if errors:
        return InvalidDrill(errors)
    return Drill(
        fault=Fault(fault),
        percent=share,
        milliseconds=late_ms,
        started_at_ms=now_ms,
        ends_at_ms=now_ms + length * _MINUTE_MS,
        started_by=by,
    )


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
        started_at=iso_utc_ms(drill.started_at_ms),
        ends_at=iso_utc_ms(drill.ends_at_ms),
        **{name: getattr(drill, name) for name in _SHARED},
    )
    return Record(OUTAGE_DRILLS, _KEY, msgspec.json.encode(record), partition=0)


def read_drill(value: bytes) -> Drill | None:
    """The drill in a record; None if the record holds none that could have been planned."""
    try:
        record = msgspec.json.decode(value, type=_Record)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    started_at, ends_at = parse_utc(record.started_at), parse_utc(record.ends_at)
    if started_at is None or ends_at is None:
        return None
    started_at_ms, ends_at_ms = to_ms(started_at), to_ms(ends_at)
    if not 0 <= ends_at_ms - started_at_ms <= MAX_MINUTES * _MINUTE_MS:
        return None
    return Drill(
        started_at_ms=started_at_ms,
        ends_at_ms=ends_at_ms,
        **{name: getattr(record, name) for name in _SHARED},
    )
