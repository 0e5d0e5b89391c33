"""Times as text that sorts like the times: what SQLite stores, and what PostgreSQL reads as UTC."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from posstream.domain.times import parse_utc

#: Characters of a time without its zone.
_WITHOUT_ZONE: Final = len("2026-01-31 23:59:59.123456")
_SECOND: Final = len("2026-01-31T23:59:59")
#: The end of a time as the contract writes times, and as it is stored.
_ENDS: Final = {f".{number:03}Z": f".{number:03}000" for number in range(1000)}


def in_utc(moment: datetime) -> datetime:
    """A time in UTC.

    Raises:
        ValueError: for a naive time, whose zone would be a guess.
    """
    if moment.tzinfo is None:
        raise ValueError("a time without a zone cannot be stored")
    return moment if moment.tzinfo is UTC else moment.astimezone(UTC)


def stored(moment: datetime) -> str:
    """A time as text in UTC, to the microsecond.

    Raises:
        ValueError: as `in_utc`.
    """
    return in_utc(moment).isoformat(" ", "microseconds")[:_WITHOUT_ZONE]


def time_of(text: str) -> datetime:
    """The time that `stored` wrote."""
    return datetime.fromisoformat(f"{text}+00:00")  # `replace` takes six times as long


def stored_from_json(text: object) -> str | None:
    """`stored` of the time in an event; None for what `parse_utc` does not read.

    A time as posstream writes it is not parsed again, but for its second once.
    """
    if isinstance(text, str) and (end := _ENDS.get(text[_SECOND:])) is not None:
        try:
            return _stored_second(text[:_SECOND]) + end
        except ValueError:  # another form
            pass
    moment = parse_utc(text)
    return None if moment is None else stored(moment)


@lru_cache(maxsize=8192)  # two hours of seconds; parsing takes five times as long
def _stored_second(text: str) -> str:
    """A whole second, written as the contract writes one.

    Raises:
        ValueError: for any other text, which is thus not remembered: it may be anything.
    """
    if datetime.fromisoformat(text).isoformat() != text:
        raise ValueError("a time of another form")
    return text.replace("T", " ")
