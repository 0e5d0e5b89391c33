"""Counts lookups and calls of a short time by indexes alone, for the points of a chart."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, Select, bindparam, func, literal_column, or_, select
from sqlalchemy.ext.asyncio import AsyncEngine

from agents.customer_lookup.read_model.schema import CUSTOMER_LOOKUP_LOGS, FAILED, LOOKUP_ANSWERS
from agents.customer_lookup.reasons import FAILED_ATTEMPTS
from posstream.read_model.prepared import Prepared
from posstream.read_model.reading import read

_LOGS: Final = CUSTOMER_LOOKUP_LOGS.c
_ANSWERS: Final = LOOKUP_ANSWERS.c
_CALL_FAILED: Final = or_(
    *(_LOGS.status == literal_column(f"'{it.value}'") for it in FAILED_ATTEMPTS)
)


@dataclass(frozen=True, slots=True)
class LookupCounts:
    """What was counted from one moment up to but not including another."""

    lookups: int = 0
    #: Failed lookups; those of unknown customers do not count.
    failed: int = 0
    #: HTTP attempts.
    calls: int = 0
    #: Those that ended FAILED or TIMEOUT.
    failed_calls: int = 0


def _count(time: Column[Any], *conditions: ColumnElement[bool] | Any) -> Any:
    since, until = (bindparam(name, type_=time.type) for name in ("since", "until"))
    counted = select(func.count()).where(time >= since, time < until, *conditions)
    return counted.scalar_subquery()


def _counts() -> Select[Any]:
    return select(
        _count(_ANSWERS.occurred_at).label("lookups"),
        _count(_ANSWERS.occurred_at, FAILED).label("failed"),
        _count(_LOGS.request_timestamp).label("calls"),
        _count(_LOGS.request_timestamp, _CALL_FAILED).label("failed_calls"),
    )


_COUNTS: Final = Prepared(_counts())


class CountQueries:
    """The part of `SqlReadModel` that counts for charts."""

    _engine: AsyncEngine

    async def lookup_counts(self, since: datetime, until: datetime) -> LookupCounts:
        """The lookups and calls from `since` up to but not including `until`."""
        ((lookups, failed, calls, failed_calls),) = await read(
            self._engine, _COUNTS, {"since": since, "until": until}
        )
        return LookupCounts(lookups, failed, calls, failed_calls)
