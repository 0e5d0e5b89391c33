"""A second plugin, as the lists that are folded from all plugins meet one."""

from typing import Any, Final

from posstream.kafka.topics import DAY_MS, TopicSpec, dead_letter_topic
from posstream.plugin import Built, Kit, Plugin

POS_EVENTS: Final = "pos-events"
DEAD_LETTERS: Final = "pos-events.dlq"


def other_plugin(**declared: Any) -> Plugin:
    """It reads a topic, and declares what a test wants it to."""
    return Plugin(
        name="baskets",
        description="Knows what is in a basket.",
        build=_build,
        topics=(
            TopicSpec(POS_EVENTS, "anything", "PosEvent", 7 * DAY_MS),
            dead_letter_topic(DEAD_LETTERS),
        ),
        consumes=(POS_EVENTS,),
        dead_letters=DEAD_LETTERS,
        replayable=(POS_EVENTS,),
        **declared,
    )


def _build(_: Kit) -> Built:
    return Built()
