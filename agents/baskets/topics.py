"""The topics of the baskets, declared in one list. No I/O."""

from typing import Final

from posstream.kafka.topics import APP_ID, DAY_MS, TopicSpec, dead_letter_topic
from tables.baskets import basket_spec

#: Other plugins' topics, whose events are parts of a basket.
BASKET_STARTED: Final = "basket-started"
CUSTOMER_DATA_FETCHED: Final = "customer-data-fetched"
CUSTOMER_LOOKUP_FAILED: Final = "customer-lookup-failed"

POS_EVENTS: Final = "pos-events"
DEAD_LETTERS: Final = "pos-events.dlq"
BASKET_COMPLETED: Final = "basket-completed"
#: Internal: events that came in another partition than their basket's, written again there.
REKEYED: Final = f"{APP_ID}-basket-events-rekeyed"
#: Internal: every till event once more, with what was known of its basket.
TILL_EVENTS: Final = f"{APP_ID}-till-events"

#: What the agent reads. Of these, only `pos-events` is ours.
CONSUMED: Final = (
    POS_EVENTS,
    BASKET_STARTED,
    CUSTOMER_DATA_FETCHED,
    CUSTOMER_LOOKUP_FAILED,
    REKEYED,
)

#: An event's partition is its basket's partition.
BASKETS: Final = basket_spec(*CONSUMED)

TOPICS: Final = (
    TopicSpec(POS_EVENTS, "basket_id, else terminal_id", "an event of a till", 7 * DAY_MS),
    TopicSpec(BASKET_COMPLETED, "basket_id", "BasketCompleted", 7 * DAY_MS),
    TopicSpec(REKEYED, "basket_id", "an event of a basket (internal)", 7 * DAY_MS),
    TopicSpec(TILL_EVENTS, "basket_id, else terminal_id", "TillEvent (internal)", 7 * DAY_MS),
    dead_letter_topic(DEAD_LETTERS),
)

#: Topics that hold events of customers: nobody can remove single events.
HOLDING_CUSTOMERS: Final = tuple(
    spec for spec in (*TOPICS, BASKETS.changelog) if spec.name != POS_EVENTS
)
