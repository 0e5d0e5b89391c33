"""The counts of a span of time, and their JSON. Pure."""

from collections import Counter
from typing import Final

import msgspec

from agents.customer_lookup.read_model.records import LookupStatistics


class _Kept(msgspec.Struct, gc=False, array_like=True):
    """A tally as it is stored."""

    #: Source, reason and number of answers.
    answers: list[tuple[str | None, str | None, int]]
    attempts: list[tuple[str | None, int]]
    durations: dict[int, int]
    saved: int
    waiting: dict[str, int]


_write: Final = msgspec.json.Encoder().encode
_read: Final = msgspec.json.Decoder(_Kept).decode


class Tally:
    """Counts of answers and attempts that add up."""

    def __init__(self) -> None:
        #: Answers by (source, reason).
        self.answers: Counter[tuple[str | None, str | None]] = Counter()
        #: Attempts by status.
        self.attempts: Counter[str | None] = Counter()
        #: Attempts by duration, in milliseconds.
        self.durations: Counter[int] = Counter()
        #: Events that waited for the call of another one, in lookups that lie in this span alone.
        self.saved = 0
        #: By the id of a lookup that may have attempts in other spans too, the highest number of
        #: events that waited for any of its attempts. They are added up when a window is complete.
        self.waiting: dict[str, int] = {}

    @property
    def rows(self) -> int:
        """How many answers and attempts were counted."""
        return self.answers.total() + self.attempts.total()

    def wait(self, lookup_id: str, waiters: int) -> None:
        """Count the events that waited for an attempt of a lookup."""
        self.waiting[lookup_id] = max(waiters, self.waiting.get(lookup_id, 0))

    def add(self, other: "Tally") -> None:
        """Add the counts of another span."""
        for mine, theirs in (
            (self.answers, other.answers),
            (self.attempts, other.attempts),
            (self.durations, other.durations),
        ):
            mine.update(theirs)  # type: ignore[arg-type]
        self.saved += other.saved
        for lookup_id, waiters in other.waiting.items():
            self.wait(lookup_id, waiters)

    def add_json(self, text: str) -> None:
        """Add the counts of another span from its `to_json`."""
        kept = _read(text)
        for source, reason, count in kept.answers:
            self.answers[source, reason] += count
        for status, count in kept.attempts:
            self.attempts[status] += count
        for duration_ms, count in kept.durations.items():
            self.durations[duration_ms] += count
        self.saved += kept.saved
        for lookup_id, waiters in kept.waiting.items():
            self.wait(lookup_id, waiters)

    def to_json(self) -> str:
        """The tally as text."""
        answers = [(source, reason, count) for (source, reason), count in self.answers.items()]
        attempts = list(self.attempts.items())
        return _write(
            _Kept(answers, attempts, dict(self.durations), self.saved, self.waiting)
        ).decode()

    def statistics(self) -> LookupStatistics:
        """The figures of a window, once all of it is added."""
        return LookupStatistics(
            answers=dict(self.answers),
            attempts=dict(self.attempts),
            p50_ms=_percentile(self.durations, 50),
            p95_ms=_percentile(self.durations, 95),
            coalesced=self.saved + sum(self.waiting.values()),
        )


def _percentile(counts: Counter[int], percent: int) -> int | None:
    """A percentile by nearest rank; None without values."""
    of, rank = counts.total(), 0
    for value in sorted(counts):
        rank += counts[value]
        if rank * 100 >= of * percent:
            return value
    return None
