"""How a topic is declared and created, and the topics of the platform. No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

#: The Faust app id: the consumer group, and the prefix of internal topics.
APP_ID: Final = "posstream"
#: The name of the platform's own projection, of marks of forgotten subjects.
FORGETTING: Final = "forgetting"
#: The id of the embedded broker's cluster: a worker recognises that broker by it.
EMBEDDED_CLUSTER: Final = f"{APP_ID}-embedded"

PLUGIN_CONFIGURATION: Final = "plugin-configuration"
#: Internal: who was forgotten and when, by hashes; it outlasts the events that it is about.
CUSTOMER_FORGOTTEN: Final = f"{APP_ID}-customer-forgotten"
#: Internal: how each worker is, told by itself every few seconds.
WORKERS: Final = f"{APP_ID}-workers"
#: Internal: what operators work by hand, such as breakers, for one worker or for all.
CONTROLS: Final = f"{APP_ID}-controls"

DAY_MS: Final = 86_400_000
#: Only closed segments of a log are compacted. Workers read this topic whole at each start, so it
#: stays small: an hour of heartbeats of one worker is about half a MB.
_WORKERS_SEGMENT_MS: Final = 600_000
#: A dead letter is its message and some headers; the largest message (1 MiB) must still fit.
DEAD_LETTER_MAX_BYTES: Final = 2 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """How one topic is created. `partitions` None = POSSTREAM_TOPIC_PARTITIONS."""

    name: str
    key: str
    value: str
    retention_ms: int
    cleanup_policy: str = "delete"
    partitions: int | None = None
    extra: Mapping[str, str] | None = None

    @property
    def config(self) -> dict[str, str]:
        """The topic's configuration as Kafka names it."""
        return {
            "cleanup.policy": self.cleanup_policy,
            "retention.ms": str(self.retention_ms),
            # Retention goes by the timestamp. By the clock of a till that is a year slow, the
            # broker would drop an event before it is read; by a fast one, refuse it.
            "message.timestamp.type": "LogAppendTime",
            **(self.extra or {}),
        }


def dead_letter_topic(name: str) -> TopicSpec:
    """The topic of a plugin's dead letters: 30 days, and room for the largest message."""
    return TopicSpec(
        name,
        "as received",
        "as received",
        30 * DAY_MS,
        extra={"max.message.bytes": str(DEAD_LETTER_MAX_BYTES)},
    )


#: The topics that belong to no plugin.
PLATFORM_TOPICS: Final = (
    TopicSpec(
        PLUGIN_CONFIGURATION, "plugin name", "PluginConfiguration", -1, "compact", partitions=1
    ),
    TopicSpec(CUSTOMER_FORGOTTEN, "subject", "CustomerForgotten (internal)", -1, "compact"),
    TopicSpec(
        WORKERS,
        "worker",
        "Heartbeat (internal)",
        7 * DAY_MS,
        "compact,delete",
        partitions=1,
        extra={"segment.ms": str(_WORKERS_SEGMENT_MS)},
    ),
    TopicSpec(CONTROLS, "plugin/control/worker", "Word (internal)", -1, "compact", partitions=1),
)
