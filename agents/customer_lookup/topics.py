"""Every topic of posstream, declared in one list. No I/O."""

from typing import Final

from posstream.kafka.topics import (
    APP_ID,
    CUSTOMER_FORGOTTEN,
    DAY_MS,
    PLUGIN_CONFIGURATION,
    TopicSpec,
    dead_letter_topic,
)
from posstream.streaming.table_spec import TableSpec

CUSTOMER_IDENTIFIED: Final = "customer-identified"
CUSTOMER_DATA_FETCHED: Final = "customer-data-fetched"
CUSTOMER_LOOKUP_FAILED: Final = "customer-lookup-failed"
CUSTOMER_LOOKUP_LOGGED: Final = "customer-lookup-logged"
BASKET_STARTED: Final = "basket-started"
CUSTOMER_UPDATED: Final = "customer-updated"
DEAD_LETTERS: Final = "customer-identified.dlq"
#: Internal: identifications that were produced under another key, once more under their own.
REKEYED: Final = f"{APP_ID}-customer-identified-rekeyed"
#: Internal: what is to be done to cache entries, in the partition that has them.
CACHE_COMMANDS: Final = f"{APP_ID}-cache-commands"
#: Internal: the newest outage drill, for every worker.
OUTAGE_DRILLS: Final = f"{APP_ID}-outage-drills"
CACHE_TABLE: Final = "customer-cache"
CACHE_CHANGELOG: Final = f"{APP_ID}-{CACHE_TABLE}-changelog"

#: What the plugin's SQL tables are made of, in the order of a replay.
PROJECTED: Final = (
    CUSTOMER_DATA_FETCHED,
    CUSTOMER_LOOKUP_FAILED,
    CUSTOMER_LOOKUP_LOGGED,
    BASKET_STARTED,
)

#: What the plugin's consumer group reads.
CONSUMED: Final = (CUSTOMER_IDENTIFIED, REKEYED, CUSTOMER_UPDATED, CACHE_COMMANDS)

#: A day longer than the longest window (`configuration.MAX_TTL_SECONDS`): the broker may never
#: drop an entry that could still be served.
CACHE_RETENTION_MS: Final = 8 * DAY_MS


_CHANGELOG: Final = TopicSpec(
    CACHE_CHANGELOG, "identifier", "cache entry", CACHE_RETENTION_MS, "compact,delete"
)
#: The same for Faust, which would create the changelog if it were missing.
CACHE_CHANGELOG_CONFIG: Final = _CHANGELOG.config

TOPICS: Final = (
    TopicSpec(CUSTOMER_IDENTIFIED, "anything", "CustomerIdentified", 7 * DAY_MS),
    TopicSpec(REKEYED, "identifier", "Identification (internal)", 7 * DAY_MS),
    TopicSpec(CUSTOMER_DATA_FETCHED, "basket_id", "CustomerDataFetched", 7 * DAY_MS),
    TopicSpec(CUSTOMER_LOOKUP_FAILED, "basket_id", "CustomerLookupFailed", 7 * DAY_MS),
    TopicSpec(CUSTOMER_LOOKUP_LOGGED, "identifier", "CustomerLookupLogged", 7 * DAY_MS),
    TopicSpec(BASKET_STARTED, "basket_id", "BasketStarted", 7 * DAY_MS),
    TopicSpec(CUSTOMER_UPDATED, "anything", "CustomerUpdated", 7 * DAY_MS),
    TopicSpec(CACHE_COMMANDS, "identifier", "CacheCommand (internal)", DAY_MS),
    TopicSpec(CUSTOMER_FORGOTTEN, "subject", "CustomerForgotten (internal)", -1, "compact"),
    TopicSpec(
        PLUGIN_CONFIGURATION, "plugin name", "PluginConfiguration", -1, "compact", partitions=1
    ),
    TopicSpec(OUTAGE_DRILLS, "fixed", "OutageDrill (internal)", -1, "compact", partitions=1),
    dead_letter_topic(DEAD_LETTERS),
    _CHANGELOG,
)

#: An event's or a command's partition is its cache entry's partition.
CACHE: Final = TableSpec(CACHE_TABLE, _CHANGELOG, (CUSTOMER_IDENTIFIED, REKEYED, CACHE_COMMANDS))
CO_PARTITIONED: Final = CACHE.topics

#: Topics that hold events of customers: nobody can take single ones out.
HOLDING_CUSTOMERS: Final = tuple(
    spec
    for spec in TOPICS
    if spec.name not in {BASKET_STARTED, PLUGIN_CONFIGURATION, OUTAGE_DRILLS, CUSTOMER_FORGOTTEN}
)
