"""The names of the table of observations, and how its changelog is made. No I/O, and no Faust."""

from typing import Final

from posstream.kafka.topics import APP_ID, DAY_MS, TopicSpec
from posstream.streaming.table_spec import TableSpec

OBSERVATION_TABLE: Final = "fraud-observations"
#: The consumer group of the plugin comes first: Faust names changelogs so.
OBSERVATION_CHANGELOG: Final = f"{APP_ID}-fraud-detection-{OBSERVATION_TABLE}-changelog"
#: The longest window, the longest lateness, and a day.
_RETENTION_MS: Final = 15 * DAY_MS
_CHANGELOG: Final = TopicSpec(
    OBSERVATION_CHANGELOG, "a group", "its observations", _RETENTION_MS, "compact,delete"
)


def fraud_observations_spec(*co_partitioned: str) -> TableSpec:
    """The table's declaration.

    Args:
        co_partitioned: the topics whose records are its observations.
    """
    return TableSpec(OBSERVATION_TABLE, _CHANGELOG, co_partitioned, placed_by=group_of_entry)


def group_of_entry(key: bytes) -> bytes | None:
    """The group to which a key belongs: a segment's key has a number behind its group's.

    None for what a partition notes of itself. A group is a JSON object.
    """
    return key[: key.rindex(b"}") + 1] if key.startswith(b"{") else None
