"""What the plugin declares of its SQL table. SQLAlchemy is imported when it is used."""

from typing import TYPE_CHECKING, Final

from posstream.read_model.part import ReadModelPart
from tables.baskets import BASKET_CHANGELOG

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from sqlalchemy import Table
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    from posstream.forgetting.marks import Marks
    from posstream.read_model.projection import ProjectedEvent, Projection
    from posstream.read_model.retention import Aging


def _tables() -> "Sequence[Table]":
    from agents.baskets.read_model.schema import TILL_BASKETS

    return [TILL_BASKETS]


def _aging() -> "Aging":
    from agents.baskets.read_model.schema import TILL_BASKETS

    return {TILL_BASKETS: (TILL_BASKETS.c.started_at, TILL_BASKETS.c.completed_at)}


def _projection(engine: "AsyncEngine") -> "Projection":
    from agents.baskets.read_model.projection import BasketProjection

    return BasketProjection(engine)


def _row_keys(events: "Iterable[ProjectedEvent]") -> "Mapping[Table, Collection[str]]":
    from agents.baskets.read_model.projection import newest
    from agents.baskets.read_model.schema import TILL_BASKETS

    return {TILL_BASKETS: newest(events).keys()}


async def _erase(connection: "AsyncConnection", marks: "Marks") -> None:
    from agents.baskets.read_model.erasure import erase_names

    await erase_names(connection, marks)


READ_MODEL: Final = ReadModelPart(
    migrations="agents:baskets/read_model/migrations",
    projected=(BASKET_CHANGELOG,),
    tables=_tables,
    projection=_projection,
    row_keys=_row_keys,
    erase=_erase,
    aging=_aging,
)
