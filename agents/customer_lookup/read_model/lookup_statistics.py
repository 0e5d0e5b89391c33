"""Count lookups and attempts of a window: three statements, the same on both databases."""

from datetime import datetime
from typing import Any, Final

from sqlalchemy import Select, case, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from agents.customer_lookup.read_model.records import LookupStatistics
from agents.customer_lookup.read_model.schema import CUSTOMER_LOOKUP_LOGS, LOOKUP_ANSWERS

_LOGS: Final = CUSTOMER_LOOKUP_LOGS.c
_ANSWERS: Final = LOOKUP_ANSWERS.c


async def lookup_statistics(connection: AsyncConnection, since: datetime) -> LookupStatistics:
    """What was counted from `since` on."""
    answers = await connection.execute(_answers(since))
    attempts = (await connection.execute(_attempts(since))).all()
    coalesced = (await connection.execute(_coalesced(since))).scalar_one()
    return LookupStatistics(
        answers={(source, reason): count for source, reason, count in answers},
        attempts={status: count for status, count, _, _ in attempts},
        p50_ms=_least(p50 for _, _, p50, _ in attempts),
        p95_ms=_least(p95 for _, _, _, p95 in attempts),
        coalesced=int(coalesced),
    )


def _answers(since: datetime) -> Select[Any]:
    return (
        select(_ANSWERS.source, _ANSWERS.reason, func.count())
        .where(_ANSWERS.occurred_at >= since)
        .group_by(_ANSWERS.source, _ANSWERS.reason)
    )


def _attempts(since: datetime) -> Select[Any]:
    """Each status with its count, and the least duration of it at or beyond each rank.

    The least of them over all statuses is the percentile by nearest rank: SQLite has no
    percentile_disc. Attempts without a duration are ranked last, beyond all that is counted.
    """
    ranked = (
        select(
            _LOGS.status,
            _LOGS.duration_ms,
            func.row_number().over(order_by=_LOGS.duration_ms.asc().nulls_last()).label("rank"),
            func.count(_LOGS.duration_ms).over().label("of"),
        )
        .where(_LOGS.request_timestamp >= since)
        .subquery()
    )

    def beyond(percent: int) -> Any:
        reached = ranked.c.rank * 100 >= ranked.c.of * percent
        return func.min(case((reached, ranked.c.duration_ms)))

    return select(ranked.c.status, func.count(), beyond(50), beyond(95)).group_by(ranked.c.status)


def _coalesced(since: datetime) -> Select[Any]:
    """Each attempt of a lookup tells who waits by then; the most of them is who was saved."""
    lookup = func.coalesce(_LOGS.lookup_id, _LOGS.event_id)
    waiting = (
        select(func.max(_LOGS.waiters).label("waiters"))
        .where(_LOGS.request_timestamp >= since)
        .group_by(lookup)
        .subquery()
    )
    return select(func.coalesce(func.sum(waiting.c.waiters), 0))


def _least(durations: Any) -> int | None:
    known = [duration for duration in durations if duration is not None]
    return min(known) if known else None
