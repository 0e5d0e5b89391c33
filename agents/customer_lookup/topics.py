"""The topics of the customer lookup, declared in one list. No I/O."""

from typing import Final

from posstream.kafka.topics import APP_ID, DAY_MS, TopicSpec, dead_letter_topic
from tables.cache_spec import cache_spec

CUSTOMER_IDENTIFIED: Final = "customer-identified"
CUSTOMER_DATA_FETCHED: Final = "customer-data-fetched"
CUSTOMER_LOOKUP_FAILED: Final = "customer-lookup-failed"
CUSTOMER_LOOKUP_LOGGED: Final = "customer-lookup-logged"
BASKET_STARTED: Final = "basket-started"
CUSTOMER_UPDATED: Final = "customer-updated"
DEAD_LETTERS: Final = "customer-identified.dlq"
#: Internal: identifications that came under another key, written again under their own key.
REKEYED: Final = f"{APP_ID}-customer-identified-rekeyed"
#: Internal: commands for cache entries, each in the partition of its entry.
CACHE_COMMANDS: Final = f"{APP_ID}-cache-commands"
#: Internal: the newest outage drill, for every worker.
OUTAGE_DRILLS: Final = f"{APP_ID}-outage-drills"

#: What the plugin's SQL tables are made of, in the order of a replay.
PROJECTED: Final = (
    CUSTOMER_DATA_FETCHED,
    CUSTOMER_LOOKUP_FAILED,
    CUSTOMER_LOOKUP_LOGGED,
    BASKET_STARTED,
)

#: What its agents read.
CONSUMED: Final = (CUSTOMER_IDENTIFIED, REKEYED, CUSTOMER_UPDATED, CACHE_COMMANDS)

#: An event's or a command's partition is its cache entry's partition.
CACHE: Final = cache_spec(CUSTOMER_IDENTIFIED, REKEYED, CACHE_COMMANDS)

TOPICS: Final = (
    TopicSpec(CUSTOMER_IDENTIFIED, "anything", "CustomerIdentified", 7 * DAY_MS),
    TopicSpec(REKEYED, "identifier", "Identification (internal)", 7 * DAY_MS),
    TopicSpec(CUSTOMER_DATA_FETCHED, "basket_id", "CustomerDataFetched", 7 * DAY_MS),
    TopicSpec(CUSTOMER_LOOKUP_FAILED, "basket_id", "CustomerLookupFailed", 7 * DAY_MS),
    TopicSpec(CUSTOMER_LOOKUP_LOGGED, "identifier", "CustomerLookupLogged", 7 * DAY_MS),
    TopicSpec(BASKET_STARTED, "basket_id", "BasketStarted", 7 * DAY_MS),
    TopicSpec(CUSTOMER_UPDATED, "anything", "CustomerUpdated", 7 * DAY_MS),
    TopicSpec(CACHE_COMMANDS, "identifier", "CacheCommand (internal)", DAY_MS),
    TopicSpec(OUTAGE_DRILLS, "fixed", "OutageDrill (internal)", -1, "compact", partitions=1),
    dead_letter_topic(DEAD_LETTERS),
)

#: Topics that hold events of customers: nobody can remove single events.
HOLDING_CUSTOMERS: Final = tuple(
    spec for spec in (*TOPICS, CACHE.changelog) if spec.name not in {BASKET_STARTED, OUTAGE_DRILLS}
)
