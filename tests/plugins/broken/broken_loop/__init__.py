"""A broken plugin: it can read nothing, and reads its own dead letters too, without end."""

from typing import Any, Final

from posstream.domain.errors import DeadLetterReason, UnreadableEvent
from posstream.kafka.topics import DAY_MS, TopicSpec
from posstream.plugin import Built, Kit, Plugin

_DEAD_LETTERS: Final = "broken-loop.dlq"
_READ: Final = ("customer-identified", _DEAD_LETTERS)


def _build(kit: Kit) -> Built:
    async def handle(_: Any) -> None:
        raise UnreadableEvent(DeadLetterReason.NOT_JSON, "it can read nothing, on purpose")

    for topic in _READ:
        kit.app.consume(topic, handle)
    return Built()


PLUGIN: Final = Plugin(
    name="broken_loop",
    description="Makes dead letters of its dead letters.",
    build=_build,
    topics=(TopicSpec(_DEAD_LETTERS, "as received", "as received", DAY_MS),),
    consumes=_READ,
    dead_letters=_DEAD_LETTERS,
)
