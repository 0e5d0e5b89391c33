"""The event on `plugin-configuration`, described for others. No I/O."""

from collections.abc import Iterable
from typing import Annotated, Any

from msgspec import Meta, Struct

from posstream.configuration.record import MAX_DESCRIPTION, MAX_VERSION
from posstream.domain.printable import CONTROL
from posstream.events.fields import Id, Moment
from posstream.events.model import EventModel, schema_of
from posstream.kafka.topics import PLUGIN_CONFIGURATION
from posstream.plugin import Plugin


class ConfigurationRecord(Struct, frozen=True, kw_only=True):
    """One version of a plugin's live configuration."""

    version: Annotated[int, Meta(ge=1, le=MAX_VERSION)]
    enabled: bool
    config: Annotated[dict[str, Any], Meta(description="Only the keys that were set.")]
    description: (
        Annotated[
            str,
            Meta(
                max_length=MAX_DESCRIPTION,
                extra_json_schema={"not": {"type": "string", "pattern": CONTROL}},
            ),
        ]
        | None
    ) = None
    updated_at: Moment = None
    updated_by: Id | None = None


def configuration_event(plugins: Iterable[Plugin]) -> EventModel:
    """The event, with the keys of every plugin that has a live configuration."""
    keys = [
        {"title": plugin.name, **_keys(plugin.configuration.model)}
        for plugin in plugins
        if plugin.configuration is not None
    ]
    return EventModel(
        topic=PLUGIN_CONFIGURATION,
        name="PluginConfiguration",
        summary="The live configuration of a plugin; a tombstone is the defaults.",
        model=ConfigurationRecord,
        more={"config": {"anyOf": keys}} if keys else {},
        example={
            "version": 3,
            "enabled": True,
            "config": {"timeout_seconds": 2.5},
            "description": "the directory is slow today",
            "updated_at": "2026-01-31T07:00:00.000Z",
            "updated_by": "olga",
        },
        received=True,
        headers=(),
    )


def _keys(model: type[Struct]) -> dict[str, Any]:
    properties = schema_of(model)["properties"]
    # They are fields of the record, beside `config`.
    beside = ConfigurationRecord.__struct_fields__
    return {"properties": {key: it for key, it in properties.items() if key not in beside}}
