"""Reads alerts: by their ids, page by page, newest first, and the figures of each rule."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from agents.fraud_detection.read_model.records import (
    AlertFilter,
    AlertVerdict,
    FraudAlert,
    RuleFigures,
)
from agents.fraud_detection.read_model.schema import (
    FRAUD_ALERTS,
    FRAUD_READINGS,
    FRAUD_VERDICTS,
)
from agents.fraud_detection.rules.rule import RuleState
from agents.fraud_detection.verdict import AlertStatus
from posstream.domain.printable import is_storable
from posstream.read_model.engine import read_only
from posstream.read_model.listing import count_up_to, next_rows
from posstream.read_model.reading import reading

_ALERTS: Final = FRAUD_ALERTS.c
_VERDICTS: Final = FRAUD_VERDICTS.c
_READINGS: Final = FRAUD_READINGS.c
#: The alert_id breaks ties.
_ORDER: Final = (_ALERTS.occurred_at, _ALERTS.alert_id)
#: The percentage of a reading that is over.
_ALL: Final = 100
#: Columns that are conditions of the list as they are.
_EQUAL: Final = (
    "rule_id",
    "severity",
    "status",
    "employee_id",
    "terminal_id",
    "basket_id",
    "customer_id",
)


class FraudAlerts:
    """The alerts in SQLite or PostgreSQL.

    Every method may raise the database's errors, and `ReadModelBusy` where too many read at once
    or one asks too much.

    Args:
        engine: from `engine.create_engine`, migrated.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = read_only(engine)

    async def by_id(self, alert_id: str) -> FraudAlert | None:
        """One alert; None if it is not known."""
        if not is_storable(alert_id):
            return None
        found = await self._alerts(_shown().where(_ALERTS.alert_id == alert_id))
        return found[0] if found else None

    async def listed(
        self,
        wanted: AlertFilter,
        *,
        first: int,
        after: tuple[datetime, str] | None = None,
        rising: bool = False,
    ) -> Sequence[FraudAlert]:
        """The newest alerts, or those after a place, newest first, at most `first` of them.

        Args:
            wanted: all of its conditions hold.
            first: at least 1.
            after: those that come right after this `occurred_at` and `alert_id` in the list.
            rising: oldest first.
        """
        if not (_is_storable(wanted) and is_storable("" if after is None else after[1])):
            return []
        query = _shown().where(*_conditions(wanted))
        return await self._alerts(next_rows(query, _ORDER, first=first, after=after, rising=rising))

    async def count(self, wanted: AlertFilter, *, most: int) -> int:
        """How many alerts there are, at most `most`: a longer list costs no more."""
        if not _is_storable(wanted):
            return 0
        return await count_up_to(
            self._engine, select(FRAUD_ALERTS).where(*_conditions(wanted)), most
        )

    async def verdicts(self, alert_ids: Collection[str]) -> Mapping[str, Sequence[AlertVerdict]]:
        """Every verdict of some alerts, by alert_id, the newest first."""
        asked = [one for one in alert_ids if is_storable(one)]
        query = (
            select(FRAUD_VERDICTS)
            .where(_VERDICTS.alert_id.in_(asked))
            .order_by(_VERDICTS.at.desc(), _VERDICTS.verdict_id.desc())
        )
        found: defaultdict[str, list[AlertVerdict]] = defaultdict(list)
        for row in await self._rows(query):
            found[row["alert_id"]].append(AlertVerdict(**row))
        return found

    async def figures(self, since: datetime) -> Mapping[str, RuleFigures]:
        """The figures of each rule that has alerts, by rule_id.

        Args:
            since: from when on alerts are counted.
        """
        count = func.count().label("count")
        raised = (
            select(_ALERTS.rule_id, _ALERTS.rule_state, count)
            .where(_ALERTS.occurred_at >= since)
            .group_by(_ALERTS.rule_id, _ALERTS.rule_state)
        )
        told = (
            select(_ALERTS.rule_id, _ALERTS.status, count)
            .where(
                _ALERTS.status.in_([AlertStatus.CONFIRMED.value, AlertStatus.FALSE_POSITIVE.value])
            )
            .group_by(_ALERTS.rule_id, _ALERTS.status)
        )
        counted: defaultdict[str, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
        for row in await self._rows(raised):
            name = "shadow" if row["rule_state"] == RuleState.SHADOW.value else "live"
            counted[row["rule_id"]][name] += row["count"]
        for row in await self._rows(told):
            is_right = row["status"] == AlertStatus.CONFIRMED.value
            counted[row["rule_id"]]["confirmed" if is_right else "false_positives"] = row["count"]
        return {rule_id: RuleFigures(**counts) for rule_id, counts in counted.items()}

    async def warming(self, now: datetime) -> Mapping[str, int]:
        """By rule_id: how many of the past events that a rule missed have been read; of 100.

        Rules that miss none are left out. Of several partitions, it is the mean.
        """
        query = select(_READINGS.rule_id, _READINGS.percent).where(_READINGS.whole_at > now)
        found: defaultdict[str, list[int]] = defaultdict(list)
        for row in await self._rows(query):
            found[row["rule_id"]].append(row["percent"])
        return {it: sum(each) // len(each) for it, each in found.items() if min(each) < _ALL}

    async def _alerts(self, query: Select[Any]) -> Sequence[FraudAlert]:
        return [FraudAlert(**row) for row in await self._rows(query)]

    async def _rows(self, query: Select[Any]) -> Sequence[Mapping[str, Any]]:
        async with reading(self._engine) as connection:
            found = (await connection.execute(query)).mappings()
            return [{str(name): value for name, value in row.items()} for row in found]


def _shown() -> Select[Any]:
    """What a `FraudAlert` shows."""
    return select(
        _ALERTS.alert_id,
        _ALERTS.occurred_at,
        _ALERTS.rule_state,
        _ALERTS.snoozed,
        _ALERTS.hits,
        _ALERTS.last_hit_at,
        _ALERTS.status,
        _ALERTS.document,
        _VERDICTS.verdict,
        _VERDICTS.note,
        _VERDICTS.author,
        _VERDICTS.at.label("judged_at"),
    ).select_from(
        FRAUD_ALERTS.outerjoin(FRAUD_VERDICTS, _VERDICTS.verdict_id == _ALERTS.verdict_id)
    )


def _is_storable(wanted: AlertFilter) -> bool:
    return all(is_storable(getattr(wanted, name) or "") for name in _EQUAL)


def _conditions(wanted: AlertFilter) -> list[ColumnElement[bool]]:
    conditions = [
        _ALERTS[name] == str(value)
        for name in _EQUAL
        if (value := getattr(wanted, name)) is not None
    ]
    if wanted.since is not None:
        conditions.append(_ALERTS.occurred_at >= wanted.since)
    if wanted.until is not None:
        conditions.append(_ALERTS.occurred_at < wanted.until)
    return conditions
