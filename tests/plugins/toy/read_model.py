"""The toy's SQL table and what writes it. SQLAlchemy is imported when it is used."""

from typing import TYPE_CHECKING, Final

from posstream.read_model.part import ReadModelPart

from .topics import VISIT_COUNTED

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from sqlalchemy import Table
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    from posstream.forgetting.marks import Marks
    from posstream.read_model.projection import ProjectedEvent, Projection


def _tables() -> "Sequence[Table]":
    from .rows import VISITS

    return [VISITS]


def _projection(engine: "AsyncEngine") -> "Projection":
    from .rows import VisitsProjection

    return VisitsProjection(engine)


def _row_keys(events: "Iterable[ProjectedEvent]") -> "Mapping[Table, Collection[str]]":
    from .rows import VISITS

    return {VISITS: {str(event.value["event_id"]) for event in events}}


async def _erase(connection: "AsyncConnection", marks: "Marks") -> None:
    from .rows import erase_rows

    await erase_rows(connection, marks)


READ_MODEL: Final = ReadModelPart(
    migrations=f"{__package__}:migrations",
    projected=(VISIT_COUNTED,),
    tables=_tables,
    projection=_projection,
    row_keys=_row_keys,
    erase=_erase,
)
