"""The metrics of the customer lookup for tests."""

from prometheus_client import CollectorRegistry

from agents.customer_lookup.metrics import METRICS, LookupMetrics
from posstream.metrics import register


class RegisteredMetrics(LookupMetrics):
    """The metrics of the lookup, and the registry that they are in."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        super().__init__(register(METRICS, self.registry))
