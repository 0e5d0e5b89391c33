"""How a plugin declares an event: one typed model for reader, writer, JSON Schema and docs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

import msgspec

#: The Kafka headers of an event: the attributes of CloudEvents 1.0, and the W3C trace context.
CLOUD_EVENT_HEADERS: Final = (
    "ce_specversion",
    "ce_id",
    "ce_source",
    "ce_type",
    "ce_time",
    "ce_subject",
    "traceparent",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventModel:
    """One event that others may rely on."""

    topic: str
    #: The words of the topic in PascalCase.
    name: str
    summary: str
    #: The `msgspec.Struct` of the value; None = any bytes.
    model: type[msgspec.Struct] | None
    example: Mapping[str, Any] | None
    #: Whether posstream reads it as an input.
    received: bool = False
    #: Whether posstream writes it.
    sent: bool = True
    #: Names of the headers that it may have.
    headers: tuple[str, ...] = CLOUD_EVENT_HEADERS
    #: Optional fields of which at least one is needed.
    any_of: tuple[str, ...] = ()
    #: What the schema of a field says besides the model, by the field's name.
    more: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def schema(self) -> dict[str, Any] | None:
        """The JSON Schema (draft 7) of the value; None = any bytes."""
        if self.model is None:
            return None
        schema = whole_schema_of(self.model)
        fields = schema["properties"]
        fields = fields | {name: fields[name] | details for name, details in self.more.items()}
        any_of = {"anyOf": [_given(name) for name in self.any_of]} if self.any_of else {}
        return {**schema, "properties": fields, **any_of}


@cache
def whole_schema_of(model: type[msgspec.Struct]) -> dict[str, Any]:
    """The JSON Schema of a model in one piece: AsyncAPI reads references from its own root."""
    schema = msgspec.json.schema(model)
    definitions = schema.pop("$defs")

    def whole(part: Any) -> Any:
        if isinstance(part, list):
            return [whole(item) for item in part]
        if not isinstance(part, dict):
            return part
        part = dict(part)
        if "$ref" in part:
            part = definitions[part.pop("$ref").removeprefix("#/$defs/")] | part
        return {name: whole(item) for name, item in part.items()}

    found: dict[str, Any] = whole(schema)
    return found


def _given(name: str) -> dict[str, Any]:
    """The schema of an object that has the field, and not as null."""
    return {"required": [name], "properties": {name: {"not": {"type": "null"}}}}
