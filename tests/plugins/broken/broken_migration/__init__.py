"""A broken plugin: its migration raises."""

from typing import Any, Final

from posstream.kafka.topics import DAY_MS, TopicSpec
from posstream.plugin import Built, Kit, Plugin
from posstream.read_model.part import ReadModelPart

_TOPIC: Final = "broken-migration-done"


def _build(_: Kit) -> Built:
    return Built()


def _projection(engine: Any) -> Any:
    from posstream.read_model.projection import BatchProjection

    class Nothing(BatchProjection):
        async def write(self, *_: Any) -> None:
            raise AssertionError("it has no tables")

    return Nothing(engine)


PLUGIN: Final = Plugin(
    name="broken_migration",
    description="Has a migration that raises.",
    build=_build,
    topics=(TopicSpec(_TOPIC, "anything", "MigrationDone", DAY_MS),),
    read_model=ReadModelPart(
        migrations=f"{__package__}:migrations",
        projected=(_TOPIC,),
        tables=list,
        projection=_projection,
        row_keys=lambda _: {},
    ),
)
