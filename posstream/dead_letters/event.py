"""The event on a plugin's topic of dead letters, described for others. No I/O."""

from typing import Final

from posstream.events.model import EventModel
from posstream.plugin import Plugin

_HEADERS: Final = tuple(
    f"posstream.dlq.{name}"
    for name in ("topic", "partition", "offset", "timestamp", "reason", "error", "truncated")
)


def dead_letter_event(plugin: Plugin) -> EventModel:
    """The event of a plugin that has a topic of dead letters."""
    owner = "" if plugin.is_default else plugin.name.title().replace("_", "")
    return EventModel(
        topic=plugin.dead_letters or "",
        name=f"{owner}DeadLetter",
        summary="A message that cannot be read: byte for byte as received, payment-card numbers "
        "masked.",
        model=None,
        example=None,
        headers=_HEADERS,
    )
