"""How a plugin declares an event: one typed model for reader, writer, JSON Schema and docs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class EventModel:
    """One event that others may rely on."""

    topic: str
    #: The words of the topic in PascalCase.
    name: str
    summary: str
    #: The `msgspec.Struct` of the value; None = any bytes.
    model: type[Any] | None
    example: Mapping[str, Any] | None
    #: Whether posstream reads it as an input.
    received: bool = False
    #: Whether posstream writes it.
    sent: bool = True
