"""What the plugin's GraphQL and pages ask of the plugin as it runs on this worker."""

from collections.abc import Callable
from dataclasses import dataclass

from agents.customer_lookup.answer_feed import AnswerFeed
from agents.customer_lookup.directory.trial import DirectoryTrial
from agents.customer_lookup.drills.outage_drill import OutageDrills
from agents.customer_lookup.read_model.queries import SqlReadModel
from posstream.kafka.record import EventPublisher
from posstream.resilience.breaker import Breaker


@dataclass(frozen=True, slots=True, kw_only=True)
class LookupPorts:
    """`Built.ports` of the plugin."""

    read_model: SqlReadModel
    publisher: EventPublisher
    answers: AnswerFeed
    #: The endpoint in force, and this worker's breaker for it.
    breaker: Callable[[], tuple[str, Breaker]]
    drills: OutageDrills
    directory_trial: DirectoryTrial
