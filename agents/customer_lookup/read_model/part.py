"""What customer_lookup declares of its SQL tables. SQLAlchemy is imported when it is used."""

from typing import Final

from agents.customer_lookup.deferred import deferred
from agents.customer_lookup.topics import PROJECTED
from posstream.kafka.topics import APP_ID
from posstream.read_model.part import ReadModelPart

READ_MODEL: Final = ReadModelPart(
    migrations="agents:customer_lookup/read_model/migrations",
    projected=PROJECTED,
    tables=deferred("read_model.schema:read_model_tables"),
    projection=deferred("read_model.projection:SqlProjection"),
    row_keys=deferred("read_model.rows:row_keys"),
    erase=deferred("read_model.erasure:erase_rows"),
    aging=deferred("read_model.schema:aging"),
    upkeep=deferred("read_model.counting:count"),
    former_group=APP_ID,
    former_version_table="alembic_version",
)
