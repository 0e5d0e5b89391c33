"""The topics of the toy, and its table. No I/O."""

from typing import Final

from posstream.kafka.topics import DAY_MS, DEAD_LETTER_MAX_BYTES, TopicSpec
from posstream.streaming.table_spec import TableSpec

#: Another plugin's: terminal answers with a customer, keyed by basket.
ANSWERS: Final = "customer-data-fetched"
VISIT_COUNTED: Final = "toy-visit-counted"
DEAD_LETTERS: Final = "toy-visits.dlq"

TOPICS: Final = (
    TopicSpec(VISIT_COUNTED, "basket_id", "VisitCounted", 7 * DAY_MS),
    TopicSpec(
        DEAD_LETTERS,
        "as received",
        "as received",
        30 * DAY_MS,
        extra={"max.message.bytes": str(DEAD_LETTER_MAX_BYTES)},
    ),
)

_NAME: Final = "toy-visits"
#: Faust writes a table's changes to GROUP-NAME-changelog.
TABLE: Final = TableSpec(
    _NAME,
    TopicSpec(f"posstream-toy-{_NAME}-changelog", "basket_id", "number of answers", -1, "compact"),
    (ANSWERS,),
)
