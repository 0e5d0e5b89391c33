"""The names of the customer cache, and how its changelog is made. No I/O, and no Faust."""

from typing import Final

from posstream.kafka.topics import APP_ID, DAY_MS, TopicSpec
from posstream.streaming.table_spec import TableSpec

CACHE_TABLE: Final = "customer-cache"
CACHE_CHANGELOG: Final = f"{APP_ID}-{CACHE_TABLE}-changelog"
#: A day longer than the longest window (`configuration.MAX_TTL_SECONDS`): the broker may never
#: drop an entry that could still be served.
CACHE_RETENTION_MS: Final = 8 * DAY_MS
_CHANGELOG: Final = TopicSpec(
    CACHE_CHANGELOG, "identifier", "cache entry", CACHE_RETENTION_MS, "compact,delete"
)


def cache_spec(*co_partitioned: str) -> TableSpec:
    """The cache's declaration.

    Args:
        co_partitioned: the topics whose events and commands are for its entries.
    """
    return TableSpec(CACHE_TABLE, _CHANGELOG, co_partitioned)
