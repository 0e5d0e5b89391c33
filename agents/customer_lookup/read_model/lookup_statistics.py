"""Counts answers and attempts of a window, a statement each: the same on both databases."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, Select, Subquery, bindparam, case, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from agents.customer_lookup.read_model.records import AnswerWindow, LookupStatistics, MarkedAttempts
from agents.customer_lookup.read_model.schema import CUSTOMER_LOOKUP_LOGS, LOOKUP_ANSWERS
from posstream.read_model.prepared import Prepared
from posstream.read_model.reading import read, reading

_LOGS: Final = CUSTOMER_LOOKUP_LOGS.c
_ANSWERS: Final = LOOKUP_ANSWERS.c
#: The upper bound of a window without an end. With an upper bound SQLite searches the index of the
#: times; without one it scans the whole table in the order of GROUP BY (60 minutes of 30 days with
#: 1,000,000 answers and as many attempts: 9 ms instead of 279).
_NEVER: Final = datetime.max.replace(tzinfo=UTC)


def _since(time: Column[Any]) -> ColumnElement[bool]:
    return time.between(bindparam("since", type_=time.type), _NEVER)


def _count_answers() -> Select[Any]:
    kind = (_ANSWERS.source, _ANSWERS.reason)
    return select(*kind, func.count()).where(_since(_ANSWERS.occurred_at)).group_by(*kind)


def _count_attempts() -> Select[Any]:
    kind = (_LOGS.status, _LOGS.duration_ms)
    return select(*kind, func.count()).where(_since(_LOGS.request_timestamp)).group_by(*kind)


def _count_saved() -> Select[Any]:
    """Count the calls that single flight saved.

    Each attempt records how many events were waiting; the highest number of a lookup is the number
    of calls that it saved.
    """
    waiting = (
        select(func.max(_LOGS.waiters).label("waiters"))
        .where(_since(_LOGS.request_timestamp), _LOGS.waiters > 0)
        .group_by(func.coalesce(_LOGS.lookup_id, _LOGS.event_id))
        .subquery()
    )
    return select(func.coalesce(func.sum(waiting.c.waiters), 0))


_ANSWERS_SINCE: Final = Prepared(_count_answers())
_ATTEMPTS_SINCE: Final = Prepared(_count_attempts())
_SAVED_SINCE: Final = Prepared(_count_saved())


class StatisticsQueries:
    """The part of `SqlReadModel` that counts."""

    _engine: AsyncEngine

    async def lookup_statistics(self, since: datetime) -> LookupStatistics:
        """What was counted from `since` on, answers and attempts each by their own time."""
        values = {"since": since}
        counted = await read(self._engine, _ANSWERS_SINCE, values)
        by_status: Counter[str | None] = Counter()
        by_duration: Counter[int] = Counter()
        for status, duration_ms, count in await read(self._engine, _ATTEMPTS_SINCE, values):
            by_status[status] += count
            if duration_ms is not None:
                by_duration[duration_ms] += count
        ((saved,),) = await read(self._engine, _SAVED_SINCE, values)
        return LookupStatistics(
            answers={(source, reason): count for source, reason, count in counted},
            attempts=by_status,
            p50_ms=_percentile(by_duration, 50),
            p95_ms=_percentile(by_duration, 95),
            coalesced=int(saved),
        )

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
                _ANSWERS.occurred_at.between(since, _NEVER), _ANSWERS.config_version.in_(versions)
            )
            .group_by(*columns)
        )
        found: dict[int, dict[tuple[str | None, str | None], int]] = {}
        async with reading(self._engine) as connection:
            for version, source, reason, count in await connection.execute(counted):
                found.setdefault(version, {})[source, reason] = count
        return found


def _percentile(counts: Counter[int], percent: int) -> int | None:
    """The least value at or beyond a rank (nearest rank); None without values."""
    of, rank = counts.total(), 0
    for value in sorted(counts):
        rank += counts[value]
        if rank * 100 >= of * percent:
            return value
    return None


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
