"""The names of the table of baskets, and how its changelog is made. No I/O, and no Faust."""

from typing import Final

from posstream.kafka.topics import APP_ID, DAY_MS, TopicSpec
from posstream.streaming.table_spec import TableSpec

BASKET_TABLE: Final = "baskets"
#: The consumer group of the plugin comes first: Faust names changelogs so.
BASKET_CHANGELOG: Final = f"{APP_ID}-baskets-{BASKET_TABLE}-changelog"
#: A day longer than a basket may stay in the table (`configuration.MOST_HOURS`).
_RETENTION_MS: Final = 32 * DAY_MS
_CHANGELOG: Final = TopicSpec(
    BASKET_CHANGELOG, "basket_id", "the events of a basket", _RETENTION_MS, "compact,delete"
)


def basket_spec(*co_partitioned: str) -> TableSpec:
    """The table's declaration.

    Args:
        co_partitioned: the topics whose events are parts of its baskets.
    """
    return TableSpec(BASKET_TABLE, _CHANGELOG, co_partitioned)
