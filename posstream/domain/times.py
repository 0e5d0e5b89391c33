"""Times as the contract writes them: ISO-8601 UTC with `Z` and milliseconds. Pure."""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, overload

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_MS: Final = 86_400_000
_LAST_MS: Final = 253_402_300_799_999
#: The milliseconds of a time as text, with the Z. Formatting them takes twice as long.
_ENDS: Final = tuple(f"{ms:03}Z" for ms in range(1000))
#: Minutes whose text is remembered: eleven days. Times are remembered by minutes, because among a
#: million customers in the cache hardly two were fetched in the same second.
MINUTES: Final = 16_384
_SECONDS: Final = tuple(f"{second:02}." for second in range(60))
_LEAP_SECOND: Final = re.compile(r"(.{11}[0-9]{2}:[0-9]{2}:)60(.*)")


@overload
def iso_utc(moment: datetime) -> str: ...
@overload
def iso_utc(moment: None) -> None: ...
def iso_utc(moment: datetime | None) -> str | None:
    """`2026-01-31T08:00:00.000Z`; None stays None."""
    if moment is None:
        return None
    text = moment.astimezone(UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def iso_utc_ms(milliseconds: int) -> str:
    """Milliseconds since 1970, as `iso_utc` writes them."""
    minute, rest = divmod(milliseconds, 60_000)
    second, rest = divmod(rest, 1000)
    return iso_minute(minute) + _SECONDS[second] + _ENDS[rest]


@lru_cache(maxsize=MINUTES)
def iso_minute(minute: int) -> str:
    """A whole minute since 1970, as `iso_utc` writes it up to the seconds."""
    return iso_utc(from_ms(minute * 60_000))[: -len("00.000Z")]


def from_ms(milliseconds: int) -> datetime:
    """Milliseconds since 1970 as an aware time."""
    return _EPOCH + timedelta(milliseconds=milliseconds)


def to_ms(moment: datetime) -> int:
    """An aware time as whole milliseconds since 1970."""
    since = moment - _EPOCH
    return since.days * _DAY_MS + since.seconds * 1000 + since.microseconds // 1000


def clamp_ms(milliseconds: int) -> int:
    """Milliseconds since 1970 within the years 1970 to 9999; a producer can write any number."""
    return max(0, min(milliseconds, _LAST_MS))


def parse_utc(text: object) -> datetime | None:
    """Read an ISO-8601 time; one without an offset is taken as UTC. None for anything else."""
    if not isinstance(text, str):
        return None
    try:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            moment = _rare(text)
        if moment.tzinfo is UTC:
            return moment
        if moment.tzinfo is None:
            return moment.replace(tzinfo=UTC)
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _rare(text: str) -> datetime:
    """Read the rare forms of RFC 3339: a `z`, and a leap second, which is the second after it."""
    text = text.replace("z", "Z")
    leap = _LEAP_SECOND.fullmatch(text)
    if leap is None:
        return datetime.fromisoformat(text)
    return datetime.fromisoformat(f"{leap[1]}59{leap[2]}") + timedelta(seconds=1)
