"""Builds what the GraphQL, the pages and the commands of fraud detection ask."""

from collections.abc import Awaitable
from typing import Final

from agents.fraud_detection.fraud_ports import FraudPorts
from agents.fraud_detection.preview_process import previewing
from agents.fraud_detection.read_model.queries import FraudAlerts
from agents.fraud_detection.topics import FRAUD_ALERT_RAISED
from posstream.kafka.event_feed import EventFeed
from posstream.kafka.feed_reader import FeedReader
from posstream.plugin import Built, Lifetime, PortsKit

#: How long the broker may hold a fetch of the feed back.
_FETCH_WAIT_MS: Final = 100


def build_ports(kit: PortsKit) -> Built:
    """Make the ports; alerts are read for subscribers, while there are any."""
    servers, clock = kit.settings.bootstrap_servers, kit.clock
    raised = EventFeed(clock, what="alerts")
    reader = FeedReader(servers, raised, FRAUD_ALERT_RAISED, name="fraud alerts")

    def opens() -> Awaitable[None]:
        return reader.open(fetch_wait_ms=_FETCH_WAIT_MS)

    ports = FraudPorts(
        alerts=FraudAlerts(kit.readers),
        publisher=kit.publisher,
        raised=raised,
        preview=previewing(servers, clock),
    )
    return Built(ports=ports, lifetimes=(Lifetime(name="Alerts", open=opens, close=reader.close),))
