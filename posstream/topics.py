"""Every topic of posstream, declared in one list. No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

#: The Faust app id: the consumer group, and the prefix of internal topics.
APP_ID: Final = "posstream"

CUSTOMER_IDENTIFIED: Final = "customer-identified"
CUSTOMER_DATA_FETCHED: Final = "customer-data-fetched"
CUSTOMER_LOOKUP_FAILED: Final = "customer-lookup-failed"
CUSTOMER_LOOKUP_LOGGED: Final = "customer-lookup-logged"
BASKET_STARTED: Final = "basket-started"
CUSTOMER_UPDATED: Final = "customer-updated"
PLUGIN_CONFIGURATION: Final = "plugin-configuration"
DEAD_LETTERS: Final = "customer-identified.dlq"
#: Internal: identifications that were produced under another key, once more under their own.
REKEYED: Final = f"{APP_ID}-customer-identified-rekeyed"
#: Internal: what is to be done to cache entries, in the partition that has them.
CACHE_COMMANDS: Final = f"{APP_ID}-cache-commands"
CACHE_TABLE: Final = "customer-cache"
CACHE_CHANGELOG: Final = f"{APP_ID}-{CACHE_TABLE}-changelog"

#: What the read model is made of.
PROJECTED: Final = (
    CUSTOMER_DATA_FETCHED,
    CUSTOMER_LOOKUP_FAILED,
    CUSTOMER_LOOKUP_LOGGED,
    BASKET_STARTED,
)

_DAY_MS: Final = 86_400_000
#: A day longer than the longest window (`configuration.MAX_TTL_SECONDS`): the broker may never
#: drop an entry that could still be served.
CACHE_RETENTION_MS: Final = 8 * _DAY_MS
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
            **(self.extra or {}),
        }


_CHANGELOG: Final = TopicSpec(
    CACHE_CHANGELOG, "identifier", "cache entry", CACHE_RETENTION_MS, "compact,delete"
)
#: The same for Faust, which would create the changelog if it were missing.
CACHE_CHANGELOG_CONFIG: Final = _CHANGELOG.config

TOPICS: Final = (
    TopicSpec(CUSTOMER_IDENTIFIED, "anything", "CustomerIdentified", 7 * _DAY_MS),
    TopicSpec(REKEYED, "identifier", "Identification (internal)", 7 * _DAY_MS),
    TopicSpec(CUSTOMER_DATA_FETCHED, "basket_id", "CustomerDataFetched", 7 * _DAY_MS),
    TopicSpec(CUSTOMER_LOOKUP_FAILED, "basket_id", "CustomerLookupFailed", 7 * _DAY_MS),
    TopicSpec(CUSTOMER_LOOKUP_LOGGED, "identifier", "CustomerLookupLogged", 7 * _DAY_MS),
    TopicSpec(BASKET_STARTED, "basket_id", "BasketStarted", 7 * _DAY_MS),
    TopicSpec(CUSTOMER_UPDATED, "anything", "CustomerUpdated", 7 * _DAY_MS),
    TopicSpec(CACHE_COMMANDS, "identifier", "CacheCommand (internal)", _DAY_MS),
    TopicSpec(
        PLUGIN_CONFIGURATION, "plugin name", "PluginConfiguration", -1, "compact", partitions=1
    ),
    TopicSpec(
        DEAD_LETTERS,
        "as received",
        "as received",
        30 * _DAY_MS,
        extra={"max.message.bytes": str(DEAD_LETTER_MAX_BYTES)},
    ),
    _CHANGELOG,
)

#: Topics whose partitions must be as many as the cache's changelog: an event's or a
#: command's partition is its cache entry's partition.
CO_PARTITIONED: Final = (CUSTOMER_IDENTIFIED, REKEYED, CACHE_COMMANDS, CACHE_CHANGELOG)
