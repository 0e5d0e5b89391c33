"""Names the spans of time for which lookups are counted: ten seconds, minutes, hours. Pure.

The name of a span is a letter for its length and the first part of a stored time, such as
`m 2026-01-31 08:59`. So the spans of one length sort like their times, and the stored time of a row
names its spans.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from posstream.read_model.stored_time import stored, time_of

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
#: Completes the first part of a stored time.
_FIRST: Final = "0000-01-01 00:00:00.000000"
#: Sorts after every character of a time.
_END: Final = "~"


@dataclass(frozen=True, slots=True)
class Length:
    """One length of spans."""

    letter: str
    #: How many characters of a stored time name a span.
    characters: int
    lasts: timedelta

    def name(self, at: str) -> str:
        """The span of a stored time."""
        return f"{self.letter} {at[: self.characters]}"

    def begin(self, span: str) -> datetime:
        """When a span of this length begins."""
        begin = span[2:]
        return time_of(begin + _FIRST[len(begin) :])

    def up(self, at: datetime) -> datetime:
        """The first begin of a span at or after a moment."""
        return at + (_EPOCH - at) % self.lasts

    def down(self, at: datetime) -> datetime:
        """The begin of the span that a moment lies in."""
        return at - (at - _EPOCH) % self.lasts

    def between(self, begin: datetime, end: datetime | None) -> tuple[str, str]:
        """The bounds of the names of spans; both moments are begins of spans."""
        return self.name(stored(begin)), (
            self.letter + _END if end is None else self.name(stored(end))
        )

    def inside(self, span: str) -> tuple[str, str]:
        """As `between`, for the spans of this length in a longer span."""
        return self.letter + span[1:], self.letter + span[1:] + _END


TENS: Final = Length("s", 18, timedelta(seconds=10))
MINUTES: Final = Length("m", 16, timedelta(minutes=1))
HOURS: Final = Length("h", 13, timedelta(hours=1))
#: How long counts are kept. Rows are kept at least as long.
KEPT_FOR: Final = timedelta(days=8)
#: How far back counts are read: less than `KEPT_FOR`, because clocks may differ.
COUNTED_FOR: Final = timedelta(days=7, hours=6)
#: The longest first; each is a multiple of the next.
LENGTHS: Final = (HOURS, MINUTES, TENS)


def spans_of(times: Iterable[str]) -> set[str]:
    """The spans of all lengths that some stored times lie in."""
    tens = {at[: TENS.characters] for at in times}
    minutes = {at[: MINUTES.characters] for at in tens}
    hours = {at[: HOURS.characters] for at in minutes}
    named = ((TENS, tens), (MINUTES, minutes), (HOURS, hours))
    return {length.name(at) for length, begins in named for at in begins}
