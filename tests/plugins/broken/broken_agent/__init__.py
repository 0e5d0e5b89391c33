"""A broken plugin: its agent raises at every event."""

from typing import Any, Final

from posstream.kafka.topics import DAY_MS, TopicSpec
from posstream.plugin import Built, Kit, Plugin

_READ: Final = "customer-identified"
_DEAD_LETTERS: Final = "broken-agent.dlq"


def _build(kit: Kit) -> Built:
    async def handle(message: Any) -> None:
        raise ValueError(f"broken on purpose, at {message.value!r}")

    kit.app.consume(_READ, handle)
    return Built()


PLUGIN: Final = Plugin(
    name="broken_agent",
    description="Raises at every event.",
    build=_build,
    topics=(TopicSpec(_DEAD_LETTERS, "as received", "as received", DAY_MS),),
    consumes=(_READ,),
    dead_letters=_DEAD_LETTERS,
)
