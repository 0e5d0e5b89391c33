"""What the plugin declares of its SQL tables. SQLAlchemy is imported when it is used."""

from typing import TYPE_CHECKING, Final

from agents.fraud_detection.topics import EPISODES, VERDICTS
from posstream.read_model.part import ReadModelPart

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from sqlalchemy import Table
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    from posstream.forgetting.marks import Marks
    from posstream.read_model.projection import ProjectedEvent, Projection


def _tables() -> "Sequence[Table]":
    from agents.fraud_detection.read_model.schema import TABLES

    return TABLES


def _projection(engine: "AsyncEngine") -> "Projection":
    from agents.fraud_detection.read_model.projection import FraudProjection

    return FraudProjection(engine)


def _row_keys(events: "Iterable[ProjectedEvent]") -> "Mapping[Table, Collection[str]]":
    from agents.fraud_detection.read_model.projection import newest, readings, told
    from agents.fraud_detection.read_model.schema import (
        FRAUD_ALERT_NAMES,
        FRAUD_ALERTS,
        FRAUD_READINGS,
        FRAUD_VERDICTS,
    )

    some = list(events)
    alerts = newest(some)[0].keys()
    return {
        FRAUD_READINGS: readings(some).keys(),
        FRAUD_ALERTS: alerts,
        FRAUD_ALERT_NAMES: alerts,
        FRAUD_VERDICTS: told(some).keys(),
    }


async def _erase(connection: "AsyncConnection", marks: "Marks") -> None:
    from agents.fraud_detection.read_model.erasure import erase_names

    await erase_names(connection, marks)


READ_MODEL: Final = ReadModelPart(
    migrations="agents:fraud_detection/read_model/migrations",
    projected=(EPISODES, VERDICTS),
    tables=_tables,
    projection=_projection,
    row_keys=_row_keys,
    erase=_erase,
)
