"""Remembers what this process wrote in the last minute, so that it is not written again.

Most answers come from the cache, and say of a customer what the answer before said. Their upserts
change nothing, and cost more than all other rows of the answer.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from agents.customer_lookup.read_model.fields import Row

#: How long a row counts as known: it may be erased meanwhile, as by `projection rebuild --drop`.
_SECONDS: Final = 60.0
_MOST_ROWS: Final = 50_000


@dataclass(frozen=True, slots=True)
class Newest:
    """The rule by which one of two rows wins: the newest, and the earliest time of both."""

    #: The column with the row's key.
    key: str
    #: The column that decides between two rows of the same `fetched_at`.
    tie: str
    #: The column that only goes back.
    earliest: str


@dataclass(slots=True)
class KnownRows:
    """The rows of one table that the database has, or newer ones."""

    rule: Newest
    now: Callable[[], float] = time.monotonic
    #: By key: `fetched_at` and tie, the earliest time, and when it was written.
    _known: OrderedDict[str, tuple[tuple[datetime, Any], datetime, float]] = field(
        default_factory=OrderedDict
    )

    def unknown(self, rows: Mapping[str, Row]) -> Mapping[str, Row]:
        """The rows by key that would change the table."""
        return {key: row for key, row in rows.items() if not self._changes_nothing(key, row)}

    def note(self, rows: Mapping[str, Row]) -> None:
        """Remember rows whose transaction was committed."""
        at = self.now()
        for key, row in rows.items():
            self._known[key] = (*self._rank(row), at)
            self._known.move_to_end(key)
        while self._known:
            *_, written_at = next(iter(self._known.values()))
            if len(self._known) <= _MOST_ROWS and not self._is_old(written_at):
                break
            self._known.popitem(last=False)

    def _changes_nothing(self, key: str, row: Row) -> bool:
        known = self._known.get(key)
        if known is None:
            return False
        rank, earliest, at = known
        new_rank, new_earliest = self._rank(row)
        return new_rank <= rank and new_earliest >= earliest and not self._is_old(at)

    def _is_old(self, at: float) -> bool:
        return self.now() - at >= _SECONDS

    def _rank(self, row: Row) -> tuple[tuple[datetime, Any], datetime]:
        return (row["fetched_at"], row[self.rule.tie]), row[self.rule.earliest]
