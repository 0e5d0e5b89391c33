"""Counts answers and attempts of a window, a statement each: the same on both databases."""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, Subquery, case, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from agents.customer_lookup.read_model.records import AnswerWindow, LookupStatistics, MarkedAttempts
from agents.customer_lookup.read_model.schema import CUSTOMER_LOOKUP_LOGS, LOOKUP_ANSWERS

_LOGS: Final = CUSTOMER_LOOKUP_LOGS.c
_ANSWERS: Final = LOOKUP_ANSWERS.c


async def lookup_statistics(connection: AsyncConnection, since: datetime) -> LookupStatistics:
    """What was counted from `since` on."""
    answers = await connection.execute(
        select(_ANSWERS.source, _ANSWERS.reason, func.count())
        .where(_ANSWERS.occurred_at >= since)
        .group_by(_ANSWERS.source, _ANSWERS.reason)
    )
    ranked = _ranked(_LOGS.duration_ms, [_LOGS.status], _LOGS.request_timestamp >= since)
    by_status = select(
        ranked.c.status, func.count(), _beyond(ranked, 50), _beyond(ranked, 95)
    ).group_by(ranked.c.status)
    attempts = (await connection.execute(by_status)).all()
    # Each attempt notes how many events wait at its time. The greatest of these numbers is how many
    # calls were saved.
    waiting = (
        select(func.max(_LOGS.waiters).label("waiters"))
        .where(_LOGS.request_timestamp >= since)
        .group_by(func.coalesce(_LOGS.lookup_id, _LOGS.event_id))
        .subquery()
    )
    saved = select(func.coalesce(func.sum(waiting.c.waiters), 0))
    return LookupStatistics(
        answers={(source, reason): count for source, reason, count in answers},
        attempts={status: count for status, count, _, _ in attempts},
        p50_ms=_least(p50 for _, _, p50, _ in attempts),
        p95_ms=_least(p95 for _, _, _, p95 in attempts),
        coalesced=int((await connection.execute(saved)).scalar_one()),
    )


async def answer_window(
    connection: AsyncConnection, since: datetime, until: datetime
) -> AnswerWindow:
    """The answers of a window, with the 95th percentile of their durations."""
    ranked = _ranked(
        _ANSWERS.duration_ms,
        [_ANSWERS.source, _ANSWERS.reason],
        _ANSWERS.occurred_at >= since,
        _ANSWERS.occurred_at < until,
    )
    grouped = select(ranked.c.source, ranked.c.reason, func.count(), _beyond(ranked, 95)).group_by(
        ranked.c.source, ranked.c.reason
    )
    rows = (await connection.execute(grouped)).all()
    return AnswerWindow(
        answers={(source, reason): count for source, reason, count, _ in rows},
        p95_ms=_least(p95 for *_, p95 in rows),
    )


async def marked_attempts(
    connection: AsyncConnection, since: datetime, until: datetime, mark: str
) -> MarkedAttempts:
    """The attempts of a window, and those whose error message begins with `mark`."""
    is_marked = _LOGS.error_message.startswith(mark, autoescape=True)
    counted = select(func.count(), func.count(case((is_marked, 1)))).where(
        _LOGS.request_timestamp >= since, _LOGS.request_timestamp < until
    )
    total, marked = (await connection.execute(counted)).one()
    return MarkedAttempts(total, marked)


async def answers_by_version(
    connection: AsyncConnection, versions: Collection[int], since: datetime
) -> dict[int, dict[tuple[str | None, str | None], int]]:
    """The answers from `since` on, by version and by (source, reason)."""
    counted: Any = (
        select(_ANSWERS.config_version, _ANSWERS.source, _ANSWERS.reason, func.count())
        .where(_ANSWERS.occurred_at >= since, _ANSWERS.config_version.in_(versions))
        .group_by(_ANSWERS.config_version, _ANSWERS.source, _ANSWERS.reason)
    )
    found: dict[int, dict[tuple[str | None, str | None], int]] = {}
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
