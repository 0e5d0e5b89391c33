"""Writes, reads and describes the records of the topic `plugin-configuration`. No I/O."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Final

import orjson
from msgspec import Meta, Struct, structs

from posstream.configuration.version import ConfigurationVersion
from posstream.domain.errors import InvalidConfiguration
from posstream.domain.payment_card import holds_payment_card
from posstream.domain.printable import CONTROL, is_clean, is_id
from posstream.domain.times import iso_utc, parse_utc
from posstream.events.fields import Id, Moment
from posstream.events.model import EventModel, whole_schema_of
from posstream.events.reading import event_of, read_object
from posstream.kafka.topics import PLUGIN_CONFIGURATION

if TYPE_CHECKING:
    from collections.abc import Iterable

    from posstream.plugin import Plugin

#: GraphQL's Int has 32 bits.
MAX_VERSION: Final = 2**31 - 1
#: Longest name of an editor and longest description, in characters.
MAX_NAME: Final = 256
MAX_DESCRIPTION: Final = 1000


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


def write_record(version: ConfigurationVersion) -> bytes:
    """The value of a record."""
    return orjson.dumps(asdict(version) | {"updated_at": iso_utc(version.updated_at)})


def read_record(value: bytes) -> ConfigurationVersion:
    """The version in a record. What `config` holds is judged when it is put in force.

    Raises:
        UnreadableEvent, InvalidConfiguration: naming the field that is missing or wrong.
    """
    # A configuration may be as long as the broker takes.
    record = event_of(ConfigurationRecord, read_object(value, most=len(value)))
    description = record.description or ""
    check_note(record.updated_by, description)
    read = {"description": description, "updated_at": parse_utc(record.updated_at)}
    return ConfigurationVersion(**(structs.asdict(record) | read))


def check_note(updated_by: str | None, description: str) -> None:
    """Refuse an editor's name or a description that a column or a terminal cannot take.

    Raises:
        InvalidConfiguration: naming `updated_by` or `description`.
    """
    if updated_by is not None and not is_id(updated_by, MAX_NAME):
        raise InvalidConfiguration("updated_by", f"must be 1 to {MAX_NAME} printable characters")
    for key, text in (("updated_by", updated_by or ""), ("description", description)):
        if holds_payment_card(text):
            raise InvalidConfiguration(key, "must hold no payment-card number")
    if not is_clean(description) or len(description) > MAX_DESCRIPTION:
        raise InvalidConfiguration(
            "description", f"must be at most {MAX_DESCRIPTION} printable characters"
        )


def configuration_event(plugins: "Iterable[Plugin]") -> EventModel:
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
    properties = whole_schema_of(model)["properties"]
    # They are fields of the record, beside `config`.
    beside = ConfigurationRecord.__struct_fields__
    return {"properties": {key: it for key, it in properties.items() if key not in beside}}
