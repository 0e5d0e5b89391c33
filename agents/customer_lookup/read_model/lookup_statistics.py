"""Counts answers and attempts of a window: the same on both databases.

A window up to now is added up from spans that are counted already (`counting`), the longest first.
The rest is counted from rows: what came just now, and the part of a span where the window begins.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, Select, Subquery, case, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from agents.customer_lookup.read_model.counted_rows import NEVER, add_rows
from agents.customer_lookup.read_model.gaps import Gap, joined, parted, statements, within_gaps
from agents.customer_lookup.read_model.records import AnswerWindow, LookupStatistics, MarkedAttempts
from agents.customer_lookup.read_model.schema import (
    CUSTOMER_LOOKUP_LOGS,
    LOOKUP_ANSWERS,
    LOOKUP_COUNTS,
)
from agents.customer_lookup.read_model.spans import COUNTED_FOR, HOURS, LENGTHS, Length
from agents.customer_lookup.read_model.tally import Tally
from posstream.read_model.prepared import Prepared
from posstream.read_model.reading import read, reading

_LOGS: Final = CUSTOMER_LOOKUP_LOGS.c
_ANSWERS: Final = LOOKUP_ANSWERS.c
#: The names of the bounds of a gap.
_NAMES: Final = "first", "end"


def _counted() -> Select[Any]:
    span = LOOKUP_COUNTS.c.span
    return select(span, LOOKUP_COUNTS.c.counts).where(within_gaps(span, _NAMES)).order_by(span)


#: The stored counts of the spans in some gaps. A span that is not stored has no rows.
_COUNTED: Final = Prepared(_counted())


class StatisticsQueries:
    """The part of `SqlReadModel` that counts."""

    _engine: AsyncEngine

    async def lookup_statistics(self, since: datetime) -> LookupStatistics:
        """What was counted from `since` on, answers and attempts each by their own time."""
        (counted,) = await self.windows_of_statistics([since])
        return counted

    async def windows_of_statistics(self, begins: Sequence[datetime]) -> list[LookupStatistics]:
        """What was counted from each moment on; the newest moment comes first.

        What came just now is counted once for all windows.
        """
        tally, until = Tally(), None
        windows = []
        for since in begins:
            await self._add(tally, since, until)
            windows.append(tally.statistics())
            until = since
        return windows

    async def _add(self, tally: Tally, since: datetime, until: datetime | None) -> None:
        kept_since = HOURS.up(datetime.now(UTC) - COUNTED_FOR)
        young, old = parted((since, until), kept_since)
        for length in LENGTHS:
            young = await self._add_counted(tally, length, young)
        await add_rows(tally, partial(read, self._engine), [*young, *old])

    async def _add_counted(self, tally: Tally, length: Length, gaps: Sequence[Gap]) -> list[Gap]:
        """Add the counted spans of one length; returns the gaps between them."""
        left: list[Gap] = []
        names = []
        for begin, end in gaps:
            first, last = length.up(begin), None if end is None else length.down(end)
            if last is not None and last <= first:
                left.append((begin, end))
                continue
            left += [(begin, first)] if last is None else [(begin, first), (last, end)]
            names.append(length.between(first, last))
        for values in statements(names, _NAMES):
            for span, counts in await read(self._engine, _COUNTED, values):
                if counts is None:
                    at = length.begin(span)
                    left.append((at, at + length.lasts))
                else:
                    tally.add_json(counts)
        return joined(left)

    async def answer_window(self, since: datetime, until: datetime) -> AnswerWindow:
        """The answers from `since` up to but not including `until`."""
        ranked = _ranked(
            _ANSWERS.duration_ms,
            [_ANSWERS.source, _ANSWERS.reason],
            _ANSWERS.occurred_at >= since,
            _ANSWERS.occurred_at < until,
        )
        kind = (ranked.c.source, ranked.c.reason)
        grouped = select(*kind, func.count(), _beyond(ranked, 95)).group_by(*kind)
        async with reading(self._engine) as connection:
            rows = (await connection.execute(grouped)).all()
        return AnswerWindow(
            answers={(source, reason): count for source, reason, count, _ in rows},
            p95_ms=_least(p95 for *_, p95 in rows),
        )

    async def marked_attempts(
        self, since: datetime, until: datetime, *, mark: str
    ) -> MarkedAttempts:
        """The attempts of a window, and those whose error message begins with `mark`."""
        is_marked = _LOGS.error_message.startswith(mark, autoescape=True)
        counted = select(func.count(), func.count(case((is_marked, 1)))).where(
            _LOGS.request_timestamp >= since, _LOGS.request_timestamp < until
        )
        async with reading(self._engine) as connection:
            return MarkedAttempts(*(await connection.execute(counted)).one())

    async def answers_by_version(
        self, versions: Collection[int], since: datetime
    ) -> Mapping[int, Mapping[tuple[str | None, str | None], int]]:
        """The answers from `since` on by version of the configuration; one statement."""
        columns = (_ANSWERS.config_version, _ANSWERS.source, _ANSWERS.reason)
        counted: Any = (
            select(*columns, func.count())
            .where(
                _ANSWERS.occurred_at.between(since, NEVER), _ANSWERS.config_version.in_(versions)
            )
            .group_by(*columns)
        )
        found: dict[int, dict[tuple[str | None, str | None], int]] = {}
        async with reading(self._engine) as connection:
            for version, source, reason, count in await connection.execute(counted):
                found.setdefault(version, {})[source, reason] = count
        return found


def _ranked(
    duration_ms: Column[Any], others: list[Column[Any]], *window: ColumnElement[bool]
) -> Subquery:
    """The rows of a window by duration; rows without a duration come last and are not counted."""
    return (
        select(
            *others,
            duration_ms,
            func.row_number().over(order_by=duration_ms.asc().nulls_last()).label("rank"),
            func.count(duration_ms).over().label("of"),
        )
        .where(*window)
        .subquery()
    )


def _beyond(ranked: Subquery, percent: int) -> Any:
    """The least duration of a group at or beyond a rank.

    The least of them over all groups is the percentile by nearest rank: SQLite has no
    percentile_disc.
    """
    reached = ranked.c.rank * 100 >= ranked.c.of * percent
    return func.min(case((reached, ranked.c.duration_ms)))


def _least(durations: Iterable[int | None]) -> int | None:
    return min((each for each in durations if each is not None), default=None)
