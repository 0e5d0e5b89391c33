"""What customer_lookup declares of its SQL tables. SQLAlchemy is imported when it is used."""

from typing import TYPE_CHECKING, Final

from agents.customer_lookup.topics import PROJECTED
from posstream.kafka.topics import APP_ID
from posstream.read_model.part import ReadModelPart

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from sqlalchemy import Table
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    from posstream.forgetting.marks import Marks
    from posstream.read_model.projection import ProjectedEvent, Projection


def _tables() -> "Sequence[Table]":
    from agents.customer_lookup.read_model.schema import READ_MODEL

    return READ_MODEL


def _projection(engine: "AsyncEngine") -> "Projection":
    from agents.customer_lookup.read_model.projection import SqlProjection

    return SqlProjection(engine)


def _row_keys(events: "Iterable[ProjectedEvent]") -> "Mapping[Table, Collection[str]]":
    from agents.customer_lookup.read_model.rows import row_keys

    return row_keys(events)


async def _erase(connection: "AsyncConnection", marks: "Marks") -> None:
    from agents.customer_lookup.read_model.forgotten_rows import erase_rows

    await erase_rows(connection, marks)


READ_MODEL: Final = ReadModelPart(
    migrations="agents:customer_lookup/read_model/migrations",
    projected=PROJECTED,
    tables=_tables,
    projection=_projection,
    row_keys=_row_keys,
    erase=_erase,
    former_group=APP_ID,
    former_version_table="alembic_version",
)
