"""Count answers between two moments or by version of the configuration: one statement each."""

from collections.abc import Collection
from datetime import datetime
from typing import Any, Final

from sqlalchemy import case, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from agents.customer_lookup.read_model.records import AnswerWindow, MarkedAttempts
from agents.customer_lookup.read_model.schema import CUSTOMER_LOOKUP_LOGS, LOOKUP_ANSWERS

_LOGS: Final = CUSTOMER_LOOKUP_LOGS.c
_ANSWERS: Final = LOOKUP_ANSWERS.c


async def answer_window(
    connection: AsyncConnection, since: datetime, until: datetime
) -> AnswerWindow:
    """The answers of a window, with the 95th percentile of their durations by nearest rank.

    As in `lookup_statistics`: the least duration beyond the rank over all groups.
    """
    ranked = (
        select(
            _ANSWERS.source,
            _ANSWERS.reason,
            _ANSWERS.duration_ms,
            func.row_number().over(order_by=_ANSWERS.duration_ms.asc().nulls_last()).label("rank"),
            func.count(_ANSWERS.duration_ms).over().label("of"),
        )
        .where(_ANSWERS.occurred_at >= since, _ANSWERS.occurred_at < until)
        .subquery()
    )
    beyond = ranked.c.rank * 100 >= ranked.c.of * 95
    p95_ms = func.min(case((beyond, ranked.c.duration_ms)))
    grouped = select(ranked.c.source, ranked.c.reason, func.count(), p95_ms).group_by(
        ranked.c.source, ranked.c.reason
    )
    rows = (await connection.execute(grouped)).all()
    return AnswerWindow(
        answers={(source, reason): count for source, reason, count, _ in rows},
        p95_ms=min((p95 for *_, p95 in rows if p95 is not None), default=None),
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
