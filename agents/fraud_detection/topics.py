"""The topics of fraud detection, declared in one list. No I/O."""

from typing import Final

from posstream.kafka.topics import APP_ID, DAY_MS, TopicSpec, dead_letter_topic
from tables.fraud_observations import fraud_observations_spec

#: Another plugin's topic: every till event once more, with what is known of its basket.
TILL_EVENTS: Final = f"{APP_ID}-till-events"

FRAUD_ALERT_RAISED: Final = "fraud-alert-raised"
#: Internal: an event once for each grouping that a rule uses, keyed by the grouping and its value.
GROUPED: Final = f"{APP_ID}-fraud-grouped"
#: Internal: every alert with how often it was hit, those of shadow rules too.
EPISODES: Final = f"{APP_ID}-fraud-episodes"
#: Internal: what people found out about an alert.
VERDICTS: Final = f"{APP_ID}-fraud-verdicts"
DEAD_LETTERS: Final = f"{APP_ID}-fraud.dlq"

#: What the agent reads.
CONSUMED: Final = (TILL_EVENTS, GROUPED)

#: An observation's partition is that of its group.
OBSERVATIONS: Final = fraud_observations_spec(GROUPED)

TOPICS: Final = (
    TopicSpec(FRAUD_ALERT_RAISED, "alert_id", "FraudAlertRaised", 7 * DAY_MS),
    TopicSpec(GROUPED, "a grouping and its value", "an observation (internal)", DAY_MS),
    TopicSpec(EPISODES, "alert_id", "FraudEpisode or FraudHits (internal)", 7 * DAY_MS),
    # As long as the alerts: a verdict says nothing without its alert.
    TopicSpec(VERDICTS, "alert_id", "FraudVerdict (internal)", 7 * DAY_MS),
    dead_letter_topic(DEAD_LETTERS),
)

#: Topics that hold events of customers: nobody can remove single events.
HOLDING_CUSTOMERS: Final = (*TOPICS, OBSERVATIONS.changelog)
